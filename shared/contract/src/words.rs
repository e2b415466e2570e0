//! Closed sets of words, such as statuses and kinds.

/// Error of parsing a word that its set does not have. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord(&'static [&'static str]);

impl UnknownWord {
    /// The error of a set of these words.
    #[must_use]
    pub const fn none_of(words: &'static [&'static str]) -> Self {
        Self(words)
    }
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("must be ")?;
        for (index, word) in self.0.iter().enumerate() {
            let separator = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(formatter, "{separator}{word}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownWord {}

/// Defines a closed set of words as an enum with `ALL`, `as_str`, `Display`, `FromStr`, `Serialize`, `Deserialize` and
/// `ToSchema`. A crate that uses it depends on `serde` and `utoipa`.
///
/// ```
/// portcullis_contract::words! {
///     /// Status of a lamp.
///     pub enum Lamp {
///         /// It shines.
///         On = "on",
///         /// It does not.
///         Off = "off",
///     }
/// }
/// assert_eq!("on".parse(), Ok(Lamp::On));
/// assert_eq!(Lamp::Off.to_string(), "off");
/// assert_eq!("dim".parse::<Lamp>().unwrap_err().to_string(), "must be on or off");
/// ```
#[macro_export]
macro_rules! words {
    ($(#[doc = $doc:literal])+ $visibility:vis enum $name:ident {
        $($(#[doc = $of_variant:literal])+ $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $visibility enum $name {
            $($(#[doc = $of_variant])+ #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All words of the set.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as the contract writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!($($doc),+).trim()))
                    .enum_values(Some([$($word),+]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownWord> {
                let word = Self::ALL.iter().copied().find(|word| word.as_str() == text);
                word.ok_or(const { $crate::UnknownWord::none_of(&[$($word),+]) })
            }
        }
    };
}

#[cfg(test)]
mod tests {

    words! {
        /// Sizes.
        enum Size {
            /// Small.
            Small = "small",
            /// Medium.
            Medium = "medium",
            /// Large.
            Large = "large",
        }
    }

    #[test]
    fn each_word_is_one_in_json_in_text_and_in_the_schema() {
        for size in Size::ALL {
            let word = size.as_str();
            assert_eq!(word.parse(), Ok(*size));
            assert_eq!(serde_json::to_value(size).unwrap(), word);
            assert_eq!(serde_json::from_value::<Size>(word.into()).unwrap(), *size);
        }
        let schema = serde_json::to_value(<Size as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["enum"], serde_json::json!(["small", "medium", "large"]));
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_words_that_there_are() {
        let error = "tiny".parse::<Size>().unwrap_err();
        assert_eq!(error.to_string(), "must be small, medium or large");
        assert!(serde_json::from_str::<Size>("\"tiny\"").is_err());
    }
}
