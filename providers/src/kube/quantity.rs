//! Tells whether two ways of writing a Kubernetes quantity mean the same amount.

use serde_json::Value;

/// An amount as `mantissa` × 10^`exponent`, exact, in the one form in which the mantissa ends in no zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    mantissa: i128,
    exponent: i32,
}

impl Quantity {
    /// Reads a quantity as Kubernetes does: decimal and binary suffixes, or a decimal exponent.
    ///
    /// `None` for any other text, and for amounts of more digits than 38, suffix multiplied in.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || whole.len() + fraction.len() == 0 {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let (factor, exponent) = scale(suffix)?;
        let mantissa = digits(whole.chars().chain(fraction.chars()))?.checked_mul(factor)?;
        let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Self { mantissa: if negative { -mantissa } else { mantissa }, exponent }.reduced()
    }

    /// Reads a quantity from a JSON string or number.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn reduced(mut self) -> Option<Self> {
        if self.mantissa == 0 {
            return Some(Self { mantissa: 0, exponent: 0 });
        }
        while self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.exponent = self.exponent.checked_add(1)?;
        }
        Some(self)
    }
}

/// Tells whether two JSON values are quantities of the same amount.
pub fn same(one: &Value, other: &Value) -> bool {
    Quantity::of(one).is_some_and(|amount| Quantity::of(other) == Some(amount))
}

fn digits(characters: impl Iterator<Item = char>) -> Option<i128> {
    characters
        .map(|c| c.to_digit(10).map(i128::from))
        .try_fold(0i128, |sum, digit| sum.checked_mul(10)?.checked_add(digit?))
}

/// Gives what a suffix multiplies by, as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let decimal = |exponent| Some((1, exponent));
    let binary = |power: u32| Some((1i128 << (10 * power), 0));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_amounts_are_the_same() {
        let table = [
            (json!("0.2"), json!("200m")),
            (json!(0.1), json!("100m")),
            (json!(1), json!("1")),
            (json!(1.0), json!(1)),
            (json!(1e21), json!("1000E")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("0.5Gi"), json!("512Mi")),
            (json!("1k"), json!("1000")),
            (json!("1e3"), json!("1k")),
            (json!("1E3"), json!("1k")),
            (json!("12E-1"), json!("1200m")),
            (json!("1E"), json!("1000P")),
            (json!("-0"), json!("0Mi")),
            (json!("+1.50"), json!("1500m")),
            (json!(".5"), json!("500m")),
            (json!("5."), json!("5")),
            (json!("1000000n"), json!("1m")),
            (json!("1.00000000000000000000000000000000000000000000000"), json!("1")),
        ];
        for (one, other) in table {
            assert!(same(&one, &other), "{one} is {other}");
            assert!(same(&other, &one), "{other} is {one}");
        }
    }

    #[test]
    fn other_amounts_and_other_texts_are_not() {
        let table = [
            (json!("1G"), json!("1Gi")),
            (json!("1m"), json!("1M")),
            (json!("-1"), json!("1")),
            (json!("1K"), json!("1000")),
            (json!(""), json!("0")),
            (json!("."), json!("0")),
            (json!("1.2.3"), json!("1.2.3")),
            (json!("m"), json!("0m")),
            (json!("1e"), json!("1")),
            (json!("1e1.5"), json!("15")),
            (json!("1e+-1"), json!("1e-1")),
            (json!(" 1"), json!("1")),
            (json!("--1"), json!("1")),
            (json!("1e99999999999"), json!("1e99999999999")),
            (json!(true), json!(true)),
            (json!(null), json!(null)),
        ];
        for (one, other) in table {
            assert!(!same(&one, &other), "{one} is not {other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[-+]?[0-9.]{0,60}[a-zA-Z]{0,2}[-+]?[0-9]{0,20}") {
            prop_assert_eq!(same(&json!(text), &json!(text)), Quantity::parse(&text).is_some());
        }

        #[test]
        fn milli_is_a_thousandth(thousandths in any::<i64>()) {
            let (sign, amount) = (if thousandths < 0 { "-" } else { "" }, thousandths.unsigned_abs());
            let (written, in_milli) = (format!("{sign}{}.{:03}", amount / 1000, amount % 1000), format!("{thousandths}m"));
            prop_assert!(same(&json!(written), &json!(in_milli)));
        }
    }
}
