use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest glob, in characters.
pub const MAX_PATTERN_LENGTH: usize = 512;

/// The value that a claim has to have. In JSON a string, number or boolean, which the claim has to equal, or
/// `{"glob": "…"}`. A claim that is an array matches when one of its members does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", untagged)]
pub enum Pattern {
    /// The whole value, with wildcards.
    Glob(Glob),
    /// The whole value, exactly.
    Exact(Value),
}

/// A glob over the whole value: `*` stands for anything without `/` and `:`, `**` for anything. Case counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Glob {
    glob: String,
}

impl TryFrom<Value> for Pattern {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(Self::Exact(value)),
            Value::Object(members) if members.len() == 1 => members
                .get("glob")
                .and_then(Value::as_str)
                .map(Self::glob)
                .ok_or("the one member of a pattern is glob, a text"),
            _ => Err("a pattern is a text, a number, a boolean, or an object with glob"),
        }
    }
}

impl Pattern {
    /// A glob.
    pub fn glob(glob: &str) -> Self {
        Self::Glob(Glob {
            glob: glob.to_owned(),
        })
    }

    /// Whether it can match anything at all, and is not too long to be tried.
    pub fn is_usable(&self) -> bool {
        let fits = |text: &str| !text.is_empty() && text.chars().count() <= MAX_PATTERN_LENGTH;
        match self {
            Self::Glob(glob) => fits(&glob.glob),
            Self::Exact(Value::String(text)) => fits(text),
            Self::Exact(value) => value.is_number() || value.is_boolean(),
        }
    }

    /// Whether it would match every text.
    pub fn matches_all(&self) -> bool {
        matches!(self, Self::Glob(glob) if glob.glob.contains("**") && glob.glob.chars().all(|c| c == '*'))
    }

    /// Whether a claim has the value.
    pub fn matches(&self, claim: &Value) -> bool {
        match claim {
            Value::Array(members) => members.iter().any(|member| self.matches_one(member)),
            one => self.matches_one(one),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Glob(glob), Value::String(text)) => glob.matches(text),
            (Self::Exact(expected), Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                expected == value
            }
            _ => false,
        }
    }
}

enum Step {
    Character(char),
    /// Anything without separators.
    Segment,
    Anything,
}

impl Glob {
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut characters = self.glob.chars().peekable();
        while let Some(character) = characters.next() {
            if character != '*' {
                steps.push(Step::Character(character));
            } else if characters.next_if_eq(&'*').is_some() {
                steps.push(Step::Anything);
            } else {
                steps.push(Step::Segment);
            }
        }
        steps
    }

    /// All positions that can be reached are kept side by side: no input makes it slow.
    fn matches(&self, text: &str) -> bool {
        let steps = self.steps();
        let mut reached = vec![false; steps.len() + 1];
        reached[0] = true;
        skip_wildcards(&steps, &mut reached);
        for character in text.chars() {
            let mut next = vec![false; steps.len() + 1];
            for (position, step) in steps
                .iter()
                .enumerate()
                .filter(|(position, _)| reached[*position])
            {
                match step {
                    Step::Character(expected) if *expected == character => next[position + 1] = true,
                    Step::Segment if !matches!(character, '/' | ':') => next[position] = true,
                    Step::Anything => next[position] = true,
                    _ => {}
                }
            }
            skip_wildcards(&steps, &mut next);
            reached = next;
        }
        reached[steps.len()]
    }
}

/// A wildcard also stands for nothing.
fn skip_wildcards(steps: &[Step], reached: &mut [bool]) {
    for (position, step) in steps.iter().enumerate() {
        if reached[position] && !matches!(step, Step::Character(_)) {
            reached[position + 1] = true;
        }
    }
}
