//! The core's labelling, in memory from the heap, and labelling rules as people write them.

use std::fmt;
use std::str::FromStr;

use cfm_core::labelling::{LabelError, ScoredSegment, label_pixels, memory_words};
use cfm_core::model::format::MAX_MAPS;
use cfm_core::model::{AreaFactor, Combination, LabellingRule, Model};
use cfm_core::segment::SuperpixelMap;
use fixed::types::U0F16;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The class of every pixel of the network's input, row-major, as [`label_pixels`] decides it for the segments
/// `segment(0) .. segment(count)`.
///
/// # Errors
/// As [`label_pixels`], except for the memory, which is as large as it must be.
pub fn label<'s>(
    model: &Model<'_>,
    rule: LabellingRule,
    maps: &[SuperpixelMap<'_>],
    count: usize,
    segment: impl Fn(usize) -> ScoredSegment<'s>,
) -> Result<Vec<u8>, LabelError> {
    let input = model.input();
    let mut labels = vec![0; usize::from(input.height) * usize::from(input.width)];
    let mut memory = vec![0; memory_words(rule, model, maps, count)];
    label_pixels(model, rule, maps, count, segment, &mut memory, &mut labels)?;
    Ok(labels)
}

/// A labelling rule as people write it: `paste` or `vote`, then settings, separated by commas.
///
/// | setting | of | values | without it |
/// |---|---|---|---|
/// | `inhibit=SHARE` | paste | a fraction from 0 (off) to below 1 | 0 |
/// | `power=N` | vote | 1 to 4 | 3 |
/// | `area=FACTOR` | vote | `none`, `root` (divided by the root of the area), `full` (divided by the area) | `root` |
/// | `purity=N` | vote | 0 to 4 | 0 |
/// | `refine=MAP` | both | a superpixel map, from 0: that of a scale of the model's proposals | no refinement |
///
/// [`cfm_core::labelling`] says what they mean.
///
/// ```
/// use cfm_core::model::LabellingRule;
/// use cfm_sim::labelling::RuleSpec;
/// assert_eq!("vote".parse(), Ok(RuleSpec(LabellingRule::DEFAULT)));
/// assert_eq!(RuleSpec(LabellingRule::DEFAULT).to_string(), "vote,power=3,area=root");
/// assert!("paste,inhibit=0.5,refine=0".parse::<RuleSpec>().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSpec(pub LabellingRule);

/// What is wrong with a labelling rule that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleSpecError {
    /// Neither of the rules.
    #[error("{0:?} is no labelling rule: paste and vote are")]
    Rule(String),
    /// Not `KEY=VALUE`, or not a key of this rule.
    #[error("{rule} has no setting {setting:?}: {settings}")]
    Setting {
        /// The rule.
        rule: &'static str,
        /// What stands there.
        setting: String,
        /// What could.
        settings: &'static str,
    },
    /// A key is given twice.
    #[error("{0} is set twice")]
    Twice(String),
    /// A value is not allowed.
    #[error("{key}={value}: not {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be.
        allowed: &'static str,
    },
}

/// The settings of a rule, taken one by one.
struct Settings<'s> {
    pairs: Vec<(&'s str, &'s str)>,
}

impl<'s> Settings<'s> {
    fn take<T>(
        &mut self,
        key: &'static str,
        allowed: &'static str,
        read: impl FnOnce(&'s str) -> Option<T>,
    ) -> Result<Option<T>, RuleSpecError> {
        let Some(at) = self.pairs.iter().position(|(found, _)| *found == key) else {
            return Ok(None);
        };
        let (_, value) = self.pairs.remove(at);
        let value = read(value).ok_or_else(|| RuleSpecError::Value {
            key,
            value: value.to_owned(),
            allowed,
        })?;
        Ok(Some(value))
    }
}

fn number(text: &str, least: u8, most: u8) -> Option<u8> {
    text.parse().ok().filter(|n| (least..=most).contains(n))
}

impl FromStr for RuleSpec {
    type Err = RuleSpecError;

    fn from_str(text: &str) -> Result<Self, RuleSpecError> {
        let mut parts = text.split(',');
        let (rule, settings) = match parts.next() {
            Some("paste") => ("paste", "inhibit=SHARE and refine=MAP"),
            Some("vote") => ("vote", "power=N, area=FACTOR, purity=N and refine=MAP"),
            other => return Err(RuleSpecError::Rule(other.unwrap_or_default().to_owned())),
        };
        let unknown = |setting: &str| RuleSpecError::Setting {
            rule,
            setting: setting.to_owned(),
            settings,
        };
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| unknown(part))?;
            if pairs.iter().any(|(found, _)| *found == key) {
                return Err(RuleSpecError::Twice(key.to_owned()));
            }
            pairs.push((key, value));
        }
        let mut settings = Settings { pairs };
        let combination = if rule == "paste" {
            let allowed = "a fraction from 0 to below 1";
            Combination::Paste {
                inhibition: settings
                    .take("inhibit", allowed, |text| text.parse().ok())?
                    .unwrap_or(U0F16::ZERO),
            }
        } else {
            let power = settings.take("power", "1 to 4", |text| {
                number(text, 1, LabellingRule::MAX_POWER)
            })?;
            let area = settings.take("area", "none, root or full", |text| match text {
                "none" => Some(AreaFactor::One),
                "root" => Some(AreaFactor::InverseRoot),
                "full" => Some(AreaFactor::Inverse),
                _ => None,
            })?;
            let purity = settings.take("purity", "0 to 4", |text| {
                number(text, 0, LabellingRule::MAX_POWER)
            })?;
            Combination::Vote {
                power: power.unwrap_or(3),
                area: area.unwrap_or(AreaFactor::InverseRoot),
                purity: purity.unwrap_or(0),
            }
        };
        let refinement = settings.take("refine", "a map from 0 to 3", |text| {
            number(text, 0, MAX_MAPS - 1)
        })?;
        match settings.pairs.first() {
            Some((key, value)) => Err(unknown(&format!("{key}={value}"))),
            None => Ok(Self(LabellingRule {
                combination,
                refinement,
            })),
        }
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.combination {
            Combination::Paste { inhibition } => {
                f.write_str("paste")?;
                if inhibition > U0F16::ZERO {
                    write!(f, ",inhibit={}", decimal(inhibition))?;
                }
            }
            Combination::Vote {
                power,
                area,
                purity,
            } => {
                let area = match area {
                    AreaFactor::One => "none",
                    AreaFactor::InverseRoot => "root",
                    AreaFactor::Inverse => "full",
                };
                write!(f, "vote,power={power},area={area}")?;
                if purity > 0 {
                    write!(f, ",purity={purity}")?;
                }
            }
        }
        match self.0.refinement {
            Some(map) => write!(f, ",refine={map}"),
            None => Ok(()),
        }
    }
}

/// The shortest decimal that is read as `value`. (What `fixed` prints for eight of them is read as a neighbour.)
fn decimal(value: U0F16) -> String {
    // Half a unit of the fifth digit is less than half a step.
    const DIGITS: usize = 5;
    let exact = f64::from(value);
    (1..DIGITS)
        .map(|digits| format!("{exact:.digits$}"))
        .find(|text| text.parse() == Ok(value))
        .unwrap_or_else(|| format!("{exact:.DIGITS$}"))
}

impl<'de> Deserialize<'de> for RuleSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for RuleSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> impl Strategy<Value = LabellingRule> {
        let areas = [
            AreaFactor::One,
            AreaFactor::InverseRoot,
            AreaFactor::Inverse,
        ];
        let paste = any::<u16>().prop_map(|bits| Combination::Paste {
            inhibition: U0F16::from_bits(bits),
        });
        let vote = (1..=4_u8, 0..3_usize, 0..=4_u8).prop_map(move |(power, area, purity)| {
            Combination::Vote {
                power,
                area: areas[area],
                purity,
            }
        });
        let refinement = proptest::option::of(0..MAX_MAPS);
        (prop_oneof![paste, vote], refinement).prop_map(|(combination, refinement)| LabellingRule {
            combination,
            refinement,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rule in rules()) {
            prop_assert_eq!(RuleSpec(rule).to_string().parse(), Ok(RuleSpec(rule)));
            prop_assert_eq!(LabellingRule::from_bytes(&rule.to_bytes()), Ok(rule));
        }
    }

    #[test]
    fn every_fraction_is_read_as_it_was_written() {
        for bits in 1..=u16::MAX {
            let value = U0F16::from_bits(bits);
            assert_eq!(decimal(value).parse(), Ok(value), "{bits}");
        }
        assert_eq!(decimal(U0F16::from_bits(58982)), "0.9");
        assert_eq!(decimal(U0F16::from_bits(58983)), "0.90001");
    }

    #[test]
    fn settings_stand_for_what_they_say() {
        let parse = |text: &str| text.parse::<RuleSpec>().map(|spec| spec.0);
        assert_eq!(parse("paste"), Ok(LabellingRule::PASTE));
        assert_eq!(parse("vote"), Ok(LabellingRule::DEFAULT));
        assert_eq!(
            parse("vote,refine=2,area=full,purity=1,power=4"),
            Ok(LabellingRule {
                combination: Combination::Vote {
                    power: 4,
                    area: AreaFactor::Inverse,
                    purity: 1,
                },
                refinement: Some(2),
            })
        );
        assert_eq!(
            parse("paste,inhibit=0.25").map(|rule| rule.combination),
            Ok(Combination::Paste {
                inhibition: U0F16::from_bits(1 << 14),
            })
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, message) in [
            ("", r#""" is no labelling rule: paste and vote are"#),
            ("Vote", r#""Vote" is no labelling rule: paste and vote are"#),
            ("vote,power=5", "power=5: not 1 to 4"),
            ("vote,power=", "power=: not 1 to 4"),
            ("vote,purity=-1", "purity=-1: not 0 to 4"),
            ("vote,area=half", "area=half: not none, root or full"),
            ("vote,refine=4", "refine=4: not a map from 0 to 3"),
            ("vote,power=1,power=2", "power is set twice"),
            (
                "paste,inhibit=1",
                "inhibit=1: not a fraction from 0 to below 1",
            ),
            (
                "paste,power=1",
                r#"paste has no setting "power=1": inhibit=SHARE and refine=MAP"#,
            ),
            (
                "vote,inhibit=0.5",
                r#"vote has no setting "inhibit=0.5": power=N, area=FACTOR, purity=N and refine=MAP"#,
            ),
            (
                "paste,",
                r#"paste has no setting "": inhibit=SHARE and refine=MAP"#,
            ),
        ] {
            let error = text.parse::<RuleSpec>().expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }
}
