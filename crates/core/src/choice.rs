//! Enums whose variants a user chooses by name.

/// Defines an enum, with `ALL` and `name()`, from rows of `Variant = "name"`.
#[macro_export]
macro_rules! choice {
    (
        $(#[$enum_attribute:meta])*
        $visibility:vis enum $choice:ident {
            $($(#[$attribute:meta])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$enum_attribute])*
        $visibility enum $choice {
            $($(#[$attribute])* $variant,)+
        }

        impl $choice {
            /// Every choice, in the order in which help and messages list them.
            $visibility const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The choice's name on the command line and in files.
            $visibility const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}
