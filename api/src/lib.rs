//! The objects: device API types of every generation, one catalog row per served kind, conversions through one hub model.
