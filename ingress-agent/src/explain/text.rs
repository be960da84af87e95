//! An explanation for people.

use std::fmt;

use super::{Answer, Explanation};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        for step in &self.steps {
            let mark = if step.ok { "ok  " } else { "FAIL" };
            writeln!(f, "  {mark}  {:<11}  {}", step.step, step.value)?;
            let indent = " ".repeat(21);
            match (&step.object, &step.field) {
                (Some(object), Some(field)) => writeln!(f, "{indent}from {object}: {field}")?,
                (Some(origin), None) | (None, Some(origin)) => writeln!(f, "{indent}from {origin}")?,
                (None, None) => {}
            }
            if let Some(why) = &step.why {
                writeln!(f, "{indent}why: {why}")?;
            }
            if let Some(change) = &step.change {
                writeln!(f, "{indent}to repair: {change}")?;
            }
        }
        write!(f, "answer: ")?;
        match &self.answer {
            Answer::Forwarded { endpoints } => {
                let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
                writeln!(f, "by {}", endpoints.join(" or "))
            }
            Answer::Redirected { status, location } => writeln!(f, "{status} to {location}"),
            Answer::Answered { status, why } => writeln!(f, "{status} by the agent: {why}"),
            Answer::Unserved { why } => writeln!(f, "none: {why}"),
        }
    }
}
