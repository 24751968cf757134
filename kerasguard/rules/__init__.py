"""One file per kind of damage: KG1xx which tensor, KG2xx which form, KG3xx which values.

`RULES` is the registry, in order of repair: later rules see tensors as repaired by earlier ones.
"""

from kerasguard.rules.adapted import adapted
from kerasguard.rules.ambiguous import ambiguous
from kerasguard.rules.attributes import attributes
from kerasguard.rules.averaged import averaged
from kerasguard.rules.companion import companion
from kerasguard.rules.container import container
from kerasguard.rules.corrupt import corrupt
from kerasguard.rules.dtype import dtype
from kerasguard.rules.missing import missing
from kerasguard.rules.moved import moved
from kerasguard.rules.nonfinite import nonfinite
from kerasguard.rules.optimizer import optimizer
from kerasguard.rules.quantised import quantised
from kerasguard.rules.reconfigured import reconfigured
from kerasguard.rules.renamed import renamed
from kerasguard.rules.replicas import replicas
from kerasguard.rules.rewired import rewired
from kerasguard.rules.shape import shape
from kerasguard.rules.stale import stale
from kerasguard.rules.transposed import transposed
from kerasguard.rules.unbuilt import unbuilt
from kerasguard.rules.unexpected import unexpected
from kerasguard.rules.unwritten import unwritten

__all__ = ["RULES", "VALUE_RULES"]

RULES = (
    moved,
    attributes,
    adapted,
    renamed,
    quantised,
    ambiguous,
    missing,
    unbuilt,
    unexpected,
    unwritten,
    reconfigured,
    rewired,
    optimizer,
    averaged,
    transposed,
    shape,
    dtype,
    stale,
    corrupt,
    container,
    companion,
    replicas,
    nonfinite,
)

# What can be said of a checkpoint and its manifest without a model.
VALUE_RULES = (stale, corrupt, container, companion, replicas, nonfinite)
