//! `Report` and its page: the numbers against a plain count, and what a browser gets.

mod page;
mod statistics;
