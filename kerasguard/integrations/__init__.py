"""One file per foreign library and job: Keras, tf.distribute, MLflow."""
