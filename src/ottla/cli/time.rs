//! Moments for people: ms since 1970 as `2026-11-25 19:07:15 UTC`, and how long ago that was; and the ISO 8601 that they write.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in ms since 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A moment in ms since 1970.
pub(super) fn moment(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

/// The time of day with ms: `19:07:15.123`, UTC.
pub(super) fn time_of_day(ms: i64) -> String {
    let (seconds, ms) = (ms.div_euclid(1000).rem_euclid(86_400), ms.rem_euclid(1000));
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Reads a moment as Kafka's tools do: `2026-11-25T19:07:15.123`, with `Z` or `+hh:mm` behind it, without them UTC.
pub(super) fn parse_moment(text: &str) -> Result<i64, String> {
    const EXPECTED: &str = "YYYY-MM-DDThh:mm:ss.sss is expected, with Z or +hh:mm behind it if it is not UTC";
    read_moment(text).ok_or_else(|| EXPECTED.into())
}

fn read_moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(at);
    let number = |text: &str, digits: usize, most: i64| {
        let right = text.len() == digits && text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| right && *number <= most)
    };
    let mut date = date.splitn(3, '-');
    let (year, month) = (number(date.next()?, 4, 9999)?, number(date.next()?, 2, 12)?);
    let day = number(date.next()?, 2, 31).filter(|day| *day > 0 && month > 0)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (number(time.next()?, 2, 23)?, number(time.next()?, 2, 59)?);
    let second = time.next().map_or(Some(0), |second| number(second, 2, 59))?;
    let ms = number(fraction, fraction.len(), 999).filter(|_| (1..=3).contains(&fraction.len()))?;
    let ms = ms * [100, 10, 1][fraction.len() - 1];
    let zone_minutes = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => 0,
        Some((sign, zone)) => {
            let zone = zone.replace(':', "");
            let (hours, minutes) = zone.split_at_checked(2)?;
            let minutes = number(hours, 2, 18)? * 60 + if minutes.is_empty() { 0 } else { number(minutes, 2, 59)? };
            if sign == "-" { -minutes } else { minutes }
        }
    };
    // The way back from `moment`, by the same author.
    let shifted = (month + 9) % 12;
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let found = (((days * 24 + hour) * 60 + minute - zone_minutes) * 60 + second) * 1000 + ms;
    // The 30th of February is no day.
    let same_day = moment(found + zone_minutes * 60_000)[..10] == text[..10];
    same_day.then_some(found)
}

/// Reads a length of time in ms: `P7D`, `PT1H30M`, `P1DT0.5S`.
pub(super) fn parse_span(text: &str) -> Result<i64, String> {
    read_span(text).ok_or_else(|| "PnDTnHnMnS is expected, as PT1H30M".into())
}

fn read_span(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((&text[1..], ""));
    if text.ends_with('T') || days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = 0.0;
    let mut add = |mut rest: &str, units: &[(char, f64)]| {
        for (unit, ms) in units {
            if let Some((number, behind)) = rest.split_once(*unit) {
                let number: f64 = number.parse().ok().filter(|number| (0.0..1e9).contains(number))?;
                total += number * ms;
                rest = behind;
            }
        }
        rest.is_empty().then_some(())
    };
    add(days, &[('D', 86_400_000.0)])?;
    add(time, &[('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)])?;
    Some(total as i64)
}

/// How long a time is: `3 s`, `5 min 2 s`, `4 h 1 min`, `2 d 3 h`.
pub(super) fn span(ms: i64) -> String {
    let seconds = (ms / 1000).max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(951_827_696_000), "2000-02-29 12:34:56 UTC");
        assert_eq!(moment(1_795_633_635_999), "2026-11-25 19:07:15 UTC");
        assert_eq!(moment(-1), "1969-12-31 23:59:59 UTC");
    }

    #[test]
    fn moments_are_read_as_iso_writes_them() {
        for ms in [0, 951_827_696_000, 1_795_633_635_999, -1] {
            let text = format!("{}.{:03}", moment(ms)[..19].replace(' ', "T"), ms.rem_euclid(1000));
            assert_eq!(parse_moment(&text), Ok(ms), "{text}");
        }
        assert_eq!(parse_moment("1970-01-01T01:30:00.5+01:30"), Ok(500));
        assert_eq!(parse_moment("1969-12-31T23:00-0100"), Ok(0));
        assert_eq!(parse_moment("1970-01-01T00:00:00Z"), Ok(0));
        let bad = [
            "",
            "1970-01-01",
            "1970-02-30T00:00:00",
            "1970-1-1T00:00:00",
            "1970-01-01T24:00:00",
            "1970-01-01T00:00:00.1234",
            "1970-01-01T00:00:00X",
            "1970-01-01T00:00:00é",
        ];
        for bad in bad {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_read_as_iso_writes_them() {
        assert_eq!(parse_span("P1DT2H3M4.5S"), Ok(93_784_500));
        assert_eq!(parse_span("pt10m"), Ok(600_000));
        for bad in ["", "P", "PT", "P1", "P1H", "PT1H2", "PT-1S", "1D", "PTNANS"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(time_of_day(1_795_633_635_099), "19:07:15.099");
    }

    #[test]
    fn spans() {
        assert_eq!(span(-5), "0 s");
        assert_eq!(span(62_000), "1 min 2 s");
        assert_eq!(span(3_660_000), "1 h 1 min");
        assert_eq!(span(90_000_000), "1 d 1 h");
    }
}
