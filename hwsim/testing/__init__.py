"""What a unit must keep to be one object in five views; shipped, so that a user's own unit passes it too.

>>> from hwsim import datapaths, testing
>>> testing.check_datapath(datapaths.integer(4, 4, 12), vectors=50, gates=False)
[]
"""

from hwsim.testing.datapaths import Failure, check_datapath, missing_views

__all__ = ["Failure", "check_datapath", "missing_views"]
