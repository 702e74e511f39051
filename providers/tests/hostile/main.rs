//! What foreign bytes can do to those who read them: nothing but be read or refused, quickly and in little memory.

mod chart;
mod desired;
mod manifest;
mod mutation;
mod record;
mod size;
