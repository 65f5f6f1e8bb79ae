//! The sandbox as its users meet it.

mod examples;
mod pages;
mod workloads;
