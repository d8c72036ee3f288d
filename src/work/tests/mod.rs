//! The gate and the look, with real programs, files and locks.

mod flocks;
mod glances;
mod hostile;
mod rig;
mod states;
mod writers;
