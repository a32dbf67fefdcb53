//! The arguments of a corpus, in order: which of them are URLs, which are looked up ahead.

use std::collections::VecDeque;
use std::ffi::OsString;

use crate::corpus::list::Listing;
use crate::error::Result;
use crate::remote::is_url;

/// How many URLs are looked up at once.
const AHEAD: usize = 64;

impl Listing {
    /// Adds the sources that each of `arguments` names, in order.
    pub(super) fn add_all(&mut self, arguments: &[OsString]) -> Result<()> {
        let mut urls = arguments.iter().filter(|argument| is_url(argument));
        let mut places = VecDeque::new();
        for argument in arguments {
            // Two arguments may reach the same file.
            self.may_repeat |= !self.corpus.sources.is_empty();
            if is_url(argument) {
                // What fails may take a while, and nothing after it matters.
                while places.len() < AHEAD && !places.back().is_some_and(Result::is_err) {
                    let Some(url) = urls.next() else { break };
                    places.push_back(self.stores.open(url));
                }
                if let Some(place) = places.pop_front() {
                    self.add_url(argument, &place?)?;
                }
            } else {
                self.add(argument)?;
            }
        }
        Ok(())
    }
}
