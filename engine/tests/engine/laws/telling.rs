//! Telling: no secret in anything that leaves the engine.
