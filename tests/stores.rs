//! Stores: those that come with the crate keep the contracts that every store keeps, and sessions live
//! through whatever a store, a process or a server does.

mod backchannel;
mod clocks;
mod crash;
mod ending;
mod events;
mod faulty;
mod files;
mod key_sources;
mod keys;
mod loaded;
mod memory;
mod offline;
mod parts;
mod processes;
mod races;
mod replicas;
mod sealing;
mod services;
mod slow;
mod to_the_end;
mod turns;
mod weather;
mod world;
