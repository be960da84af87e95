//! The packet path's decisions.
#![no_std]
