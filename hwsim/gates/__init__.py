"""Gates: cell libraries, mapped netlists, their toggles and the energy of these."""
