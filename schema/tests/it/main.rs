//! Definitions as users meet them: the shipped folder, and what bad files are answered.

mod definitions;
