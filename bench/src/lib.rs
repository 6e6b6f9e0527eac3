//! What the benchmarks share: the physical limits beside which every figure stands, and the arithmetic.

pub mod beside;
pub mod cpu;
pub mod floor;
pub mod issuer;
pub mod spread;
