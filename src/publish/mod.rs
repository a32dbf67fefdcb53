//! How an output appears: in one step, whole and on the disk, or not at all.
//!
//! ```text
//! durability    whether files are forced to the disk
//! direct_file   writes a file's bytes, past the page cache if possible
//! write_back    the same through the page cache
//! temp_file     a file that gets its name when it is complete
//! hashed_file   the same, with hashes of its blocks
//! single_file   one file as output, and whether what is there may be replaced
//! json_file     small JSON files, not trusted when read
//! rename        renames that replace nothing, or exchange two paths
//! lock          which process works on a directory
//! inventory     which names a run makes, so that no others are removed
//! outside       that an output does not lie in another one
//! target        the place of an output, and whether what is there may be replaced
//! terms         what a run may do to what it finds
//! state         what DIR.partial says about itself
//! staging       DIR.partial, from its lock to the rename
//! claim         an output that already exists, or the place to make it
//! ```

pub(crate) mod claim;
mod direct_file;
pub(crate) mod durability;
pub(crate) mod hashed_file;
pub(crate) mod inventory;
pub(crate) mod json_file;
pub(crate) mod lock;
pub(crate) mod outside;
mod rename;
pub(crate) mod single_file;
pub(crate) mod staging;
pub(crate) mod state;
pub(crate) mod target;
pub(crate) mod temp_file;
pub(crate) mod terms;
mod write_back;

pub use durability::Durability;
