"""Policies: observation in, plan out. Frozen SFT models, their corrections, the expert, and whatever `module:Class` names."""
