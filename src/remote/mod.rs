//! Objects in stores and behind URLs: which there are, and their bytes.
//!
//! Other rooms call it from plain threads and wait; requests run on a few threads of its own, several
//! ahead of what is read. It knows bytes, and no formats.
//!
//! ```text
//! url         which arguments are URLs, and which of them are refused
//! connect     a URL -> its store, with credentials from the environment
//! web         web servers, and their connections
//! environment what the environment says of a store
//! requests    the threads that run requests
//! store       a bucket, a container, or a web server
//! list        all objects below a prefix
//! place       which objects a URL names
//! object      one object, in the state in which it was listed; retries
//! reader      a range of an object, read in order
//! blocks      an object read here and there
//! failure     what to say if a store refuses, fails or is silent
//! missing     instead of all these, without the feature
//! ```

#[cfg(feature = "remote")]
mod blocks;
#[cfg(feature = "remote")]
mod connect;
#[cfg(feature = "remote")]
mod environment;
#[cfg(feature = "remote")]
mod failure;
#[cfg(feature = "remote")]
mod list;
#[cfg(not(feature = "remote"))]
mod missing;
#[cfg(feature = "remote")]
mod object;
#[cfg(feature = "remote")]
mod place;
#[cfg(feature = "remote")]
mod reader;
#[cfg(feature = "remote")]
mod requests;
#[cfg(feature = "remote")]
mod store;
mod url;
#[cfg(feature = "remote")]
mod web;

#[cfg(feature = "remote")]
pub(crate) use blocks::Blocks;
#[cfg(feature = "remote")]
pub(crate) use connect::Stores;
#[cfg(not(feature = "remote"))]
pub(crate) use missing::{Ahead, Blocks, Object, Place, Stores};
#[cfg(feature = "remote")]
pub(crate) use object::{Ahead, Object};
#[cfg(feature = "remote")]
pub(crate) use place::Place;
pub(crate) use url::is_url;
