//! The blocking client of the command.
