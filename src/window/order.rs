//! The order in which windows are visited.

use serde::{Deserialize, Serialize};
use shardmill_core::choice;

use crate::error::{Error, Result};
use crate::table::TorchGenerator;
use crate::window::KeyedPermutation;

/// From this many numbers on, PyTorch uses another permutation method.
const MAX_SHUFFLED: u64 = u32::MAX as u64 / 20;

/// How many draws a 64-bit number takes.
const DRAWS_PER_INT64: u64 = 2;

choice! {
    /// The algorithm that turns a seed into an order.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ShuffleOrder {
        /// The order of PyTorch's `DataLoader(shuffle=True)`: takes 4 bytes per window, for fewer
        /// than 214,748,364 windows.
        #[default]
        Torch = "torch",
        /// [`KeyedPermutation`]: takes no memory, for up to 2^63 windows.
        Keyed = "keyed",
    }
}

/// An order of windows: sequential or permuted. PyTorch's permutations take 4 bytes per window,
/// keyed ones nothing.
///
/// # Examples
///
/// ```
/// use shardmill::Order;
///
/// // torch.manual_seed(123); the first pass of DataLoader(range(20), shuffle=True)
/// let order = Order::data_loader_epoch(20, 123, 0)?;
/// let first: Vec<u64> = (0..4).map(|i| order.window(i)).collect();
/// assert_eq!(first, [18, 7, 6, 3]);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Windows in dataset order.
    Sequential,
    /// The window for each place.
    Shuffled(Vec<u32>),
    /// The window for each place, computed on demand.
    Keyed(KeyedPermutation),
}

impl Order {
    /// The window at place `i`.
    ///
    /// # Panics
    ///
    /// If a permutation has no place `i`.
    pub fn window(&self, i: u64) -> u64 {
        match self {
            Self::Sequential => i,
            Self::Shuffled(windows) => {
                let window = usize::try_from(i).ok().and_then(|i| windows.get(i));
                u64::from(*window.unwrap_or_else(|| panic!("place {i} of {}", windows.len())))
            }
            Self::Keyed(windows) => windows.at(i),
        }
    }

    /// The order of `n` windows in pass `epoch`, counted from 0, for `seed`:
    /// [`data_loader_epoch`](Self::data_loader_epoch) or [`KeyedPermutation::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are too many windows for `order`.
    pub fn shuffled(n: u64, order: ShuffleOrder, seed: u64, epoch: u32) -> Result<Self> {
        match order {
            ShuffleOrder::Torch => Self::data_loader_epoch(n, seed, epoch),
            ShuffleOrder::Keyed => KeyedPermutation::new(n, seed, epoch.into()).map(Self::Keyed),
        }
    }

    /// `torch.randperm(n, generator=generator)`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for 214,748,364 windows and more.
    pub fn torch_randperm(n: u64, generator: &mut TorchGenerator) -> Result<Self> {
        let n = check(n)?;
        let mut windows: Vec<u32> = (0..n).collect();
        for i in 0..n.saturating_sub(1) {
            let other = i + generator.next_u32() % (n - i);
            windows.swap(i as usize, other as usize);
        }
        Ok(Self::Shuffled(windows))
    }

    /// The order of a pass over `RandomSampler(windows, generator=generator)`.
    ///
    /// Leaves the generator in the state that PyTorch has during the pass. A sampler that is asked
    /// for one more window than there are draws a permutation that it does not use: call
    /// [`finish_pass`](Self::finish_pass) for a pass that ran to its end.
    ///
    /// # Errors
    ///
    /// Those of [`torch_randperm`](Self::torch_randperm).
    pub fn random_sampler(n: u64, generator: &mut TorchGenerator) -> Result<Self> {
        Self::torch_randperm(n, generator)
    }

    /// Advances `generator` to the state in which `RandomSampler(windows, generator=generator)`
    /// leaves it after its pass of `n` windows has run to the end.
    pub fn finish_pass(n: u64, generator: &mut TorchGenerator) {
        generator.skip(n.saturating_sub(1));
    }

    /// The order of pass `epoch`, counted from 0, over
    /// `DataLoader(windows, shuffle=True, generator=generator)`, if the earlier passes ran to their
    /// end.
    ///
    /// Leaves the generator in the state that PyTorch has during that pass, as
    /// [`random_sampler`](Self::random_sampler) does. An earlier pass costs only its draws, not its
    /// permutation.
    ///
    /// # Errors
    ///
    /// Those of [`torch_randperm`](Self::torch_randperm).
    pub fn data_loader_with_generator(
        n: u64,
        generator: &mut TorchGenerator,
        epoch: u32,
    ) -> Result<Self> {
        check(n)?;
        for _ in 0..epoch {
            generator.skip(DRAWS_PER_INT64 + n.saturating_sub(1));
            Self::finish_pass(n, generator);
        }
        // Every pass begins with a seed for the loader's workers.
        generator.skip(DRAWS_PER_INT64);
        Self::torch_randperm(n, generator)
    }

    /// The order of the next pass over `DataLoader(windows, shuffle=True)`, where `generator` is
    /// PyTorch's global generator. It takes four draws from it, whether or not the pass runs to its
    /// end.
    ///
    /// # Errors
    ///
    /// Those of [`torch_randperm`](Self::torch_randperm).
    pub fn data_loader(n: u64, generator: &mut TorchGenerator) -> Result<Self> {
        check(n)?;
        // Every pass begins with a seed for the loader's workers.
        generator.skip(DRAWS_PER_INT64);
        let mut own = TorchGenerator::new(generator.random_int63());
        Self::torch_randperm(n, &mut own)
    }

    /// The order of pass `epoch`, counted from 0, over `DataLoader(windows, shuffle=True)` right
    /// after `torch.manual_seed(seed)`. An earlier pass costs four draws.
    ///
    /// # Errors
    ///
    /// Those of [`torch_randperm`](Self::torch_randperm).
    pub fn data_loader_epoch(n: u64, seed: u64, epoch: u32) -> Result<Self> {
        let mut generator = TorchGenerator::new(seed);
        generator.skip(2 * DRAWS_PER_INT64 * u64::from(epoch));
        Self::data_loader(n, &mut generator)
    }
}

fn check(n: u64) -> Result<u32> {
    match u32::try_from(n) {
        Ok(small) if n < MAX_SHUFFLED => Ok(small),
        _ => Err(Error::config(
            "shuffle",
            (
                format!(
                    "{n} windows are too many, at most {} can be shuffled as PyTorch does",
                    MAX_SHUFFLED - 1
                ),
                "use `shuffle_order` keyed",
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_windows_are_refused_before_any_work() {
        let mut generator = TorchGenerator::new(0);
        for n in [214_748_364, 1 << 32, u64::MAX] {
            let errors = [
                Order::torch_randperm(n, &mut generator),
                Order::random_sampler(n, &mut generator),
                Order::data_loader(n, &mut generator),
                Order::data_loader_with_generator(n, &mut generator, u32::MAX),
                Order::data_loader_epoch(n, 0, 0),
                Order::shuffled(n, ShuffleOrder::Torch, 0, 0),
            ];
            for error in errors {
                let text = error.unwrap_err().to_string();
                assert!(
                    text.starts_with("shuffle: ") && text.contains("214748363"),
                    "{text}"
                );
                assert!(text.contains("`shuffle_order` keyed"), "{text}");
            }
        }
        // What the message suggests works.
        let order = Order::shuffled(1 << 40, ShuffleOrder::Keyed, 123, 0).unwrap();
        assert_eq!(order.window(0), 292_010_389_603);
        assert_eq!(check(214_748_363).unwrap(), 214_748_363);
    }

    #[test]
    fn passes_that_ran_to_their_end_are_skipped_by_their_draws() {
        for n in [0, 1, 2, 20] {
            let mut stepped = TorchGenerator::new(5);
            for _ in 0..3 {
                Order::data_loader_with_generator(n, &mut stepped, 0).unwrap();
                // What the sampler does when asked for one more.
                Order::torch_randperm(n, &mut stepped).unwrap();
            }
            let expected = Order::data_loader_with_generator(n, &mut stepped, 0);
            let mut skipped = TorchGenerator::new(5);
            let order = Order::data_loader_with_generator(n, &mut skipped, 3);
            assert_eq!(order.unwrap(), expected.unwrap());
            assert_eq!(skipped.next_u32(), stepped.next_u32());
        }
    }

    #[test]
    fn any_epoch_is_a_permutation() {
        let Order::Shuffled(mut windows) = Order::data_loader_epoch(1000, 7, 1_000_000).unwrap()
        else {
            panic!("shuffled");
        };
        windows.sort_unstable();
        assert!(windows.into_iter().eq(0..1000));
        assert_eq!(Order::Sequential.window(u64::MAX), u64::MAX);
    }
}
