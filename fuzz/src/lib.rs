//! What the targets share: keys that never change, so that a finding stays one, and a guard with everything around it.

pub mod keys;
pub mod world;
