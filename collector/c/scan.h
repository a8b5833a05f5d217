/* JSON as the collector takes it, looked through once and not copied.

   Takes less than the format allows: what is unusual (a \u escape, a number of many digits) ends
   the look, and the body goes the long way through wire/decode.py, which knows all of it and says
   what is wrong. What is taken here is sound JSON in sound UTF-8 without NUL, lone surrogates or
   numbers out of bounds, and nests no deeper than it may.

   Each function gets where to begin and returns where it ended, NULL where the look ends. None
   reads at `end` or behind it. */
#ifndef COLLECTOR_SCAN_H
#define COLLECTOR_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef const uint8_t *Place;

/* A text without its quotes, or a whole value as it stands. `at` is NULL where there is none. */
typedef struct {
  Place at;
  size_t size;
  bool escaped; /* a text that holds a backslash */
} Span;

#define MOST_DIGITS 18 /* of a number with all that belongs to it: within 64 bits */

static inline Place skip_space(Place at, Place end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
  return at;
}

/* The sequence of UTF-8 that begins at `at`, by table 3-7 of the Unicode standard. */
static Place skip_utf8(Place at, Place end) {
  uint8_t first = *at, low = 0x80, high = 0xBF;
  size_t more;
  if (first >= 0xC2 && first <= 0xDF) {
    more = 1;
  } else if (first >= 0xE0 && first <= 0xEF) {
    more = 2;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F; /* no surrogates */
  } else if (first >= 0xF0 && first <= 0xF4) {
    more = 3;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return NULL;
  }
  if ((size_t)(end - at) <= more || at[1] < low || at[1] > high) return NULL;
  for (size_t i = 2; i <= more; i++)
    if (at[i] < 0x80 || at[i] > 0xBF) return NULL;
  return at + more + 1;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Not 0 where one of eight bytes is a quote, a backslash, a control character or no ASCII. May be
   wrong about bytes above one that is, which is looked at first. */
static inline uint64_t ends_plain(uint64_t eight) {
  uint64_t quote = eight ^ EACH('"'), backslash = eight ^ EACH('\\');
  uint64_t found = (quote - EACH(1)) & ~quote;
  found |= (backslash - EACH(1)) & ~backslash;
  found |= (eight - EACH(0x20)) & ~eight;
  return (found | eight) & EACH(0x80);
}

/* From behind the opening quote to the closing one. */
static Place string_end(Place at, Place end, bool *escaped) {
  *escaped = false;
  for (;;) {
    while (end - at >= 8) {
      uint64_t eight;
      memcpy(&eight, at, 8);
      if (ends_plain(eight)) break;
      at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x80) at++;
    if (at == end || *at < 0x20) return NULL;
    if (*at == '"') return at;
    if (*at == '\\') {
      if (end - at < 2 || !at[1] || !strchr("\"\\/bfnrt", at[1])) return NULL;
      *escaped = true;
      at += 2;
    } else if (!(at = skip_utf8(at, end))) {
      return NULL;
    }
  }
}

/* A string with its quotes, what is between them in `text`. */
static inline Place read_string(Place at, Place end, Span *text) {
  if (at >= end || *at != '"') return NULL;
  text->at = at + 1;
  Place close = string_end(at + 1, end, &text->escaped);
  if (!close) return NULL;
  text->size = (size_t)(close - text->at);
  return close + 1;
}

static inline Place skip_digits(Place at, Place end) {
  while (at < end && *at >= '0' && *at <= '9') at++;
  return at;
}

static Place skip_number(Place at, Place end) {
  Place begin = at, digits;
  if (*at == '-') at++;
  digits = at;
  at = skip_digits(at, end);
  if (at == digits || (*digits == '0' && at - digits > 1)) return NULL;
  if (at < end && *at == '.') {
    digits = ++at;
    at = skip_digits(at, end);
    if (at == digits) return NULL;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    digits = at;
    at = skip_digits(at, end);
    if (at == digits || at - digits > 2) return NULL;
  }
  return at - begin > MOST_DIGITS ? NULL : at;
}

static inline Place skip_word(Place at, Place end, const char *word, size_t size) {
  return (size_t)(end - at) >= size && !memcmp(at, word, size) ? at + size : NULL;
}

static Place skip_value(Place at, Place end, int levels);

/* What follows a `{`, up to the first key's string or the `}`; what follows a value, likewise.
   `*key` is the key, its `at` NULL where the object ended. `first` is set before the first. */
static inline Place next_key(Place at, Place end, Span *key, bool *first) {
  at = skip_space(at, end);
  if (at == end) return NULL;
  if (*at == '}') {
    key->at = NULL;
    return at + 1;
  }
  if (!*first) {
    if (*at != ',') return NULL;
    at = skip_space(at + 1, end);
  }
  *first = false;
  if (!(at = read_string(at, end, key))) return NULL;
  at = skip_space(at, end);
  if (at == end || *at != ':') return NULL;
  at = skip_space(at + 1, end);
  return at < end ? at : NULL;
}

/* The elements of an array likewise: where the next one begins, `*more` false behind the `]`. */
static inline Place next_element(Place at, Place end, bool *more, bool *first) {
  at = skip_space(at, end);
  if (at == end) return NULL;
  if (*at == ']') {
    *more = false;
    return at + 1;
  }
  if (!*first) {
    if (*at != ',') return NULL;
    at = skip_space(at + 1, end);
  }
  *first = false;
  *more = true;
  return at < end ? at : NULL;
}

/* A value of any kind that nests `levels` deep at most. */
static Place skip_value(Place at, Place end, int levels) {
  Span text;
  bool first = true, more;
  if (at >= end) return NULL;
  switch (*at) {
    case '"':
      return read_string(at, end, &text);
    case '{':
      if (levels < 1) return NULL;
      at++;
      while ((at = next_key(at, end, &text, &first)) && text.at)
        if (!(at = skip_value(at, end, levels - 1))) return NULL;
      return at;
    case '[':
      if (levels < 1) return NULL;
      at++;
      while ((at = next_element(at, end, &more, &first)) && more)
        if (!(at = skip_value(at, end, levels - 1))) return NULL;
      return at;
    case 't':
      return skip_word(at, end, "true", 4);
    case 'f':
      return skip_word(at, end, "false", 5);
    case 'n':
      return skip_word(at, end, "null", 4);
    default:
      return *at == '-' || (*at >= '0' && *at <= '9') ? skip_number(at, end) : NULL;
  }
}

/* A string or null. */
static inline Place read_text(Place at, Place end, Span *text) {
  return *at == '"' ? read_string(at, end, text) : skip_word(at, end, "null", 4);
}

/* An object or null, as it stands. */
static inline Place read_object(Place at, Place end, int levels, Span *object) {
  Place begin = at;
  if (*at != '{') return skip_word(at, end, "null", 4);
  if (!(at = skip_value(at, end, levels))) return NULL;
  object->at = begin;
  object->size = (size_t)(at - begin);
  return at;
}

/* Digits of a fixed number, or -1. */
static int number_of(Place at, int digits) {
  int value = 0;
  for (int i = 0; i < digits; i++) {
    if (at[i] < '0' || at[i] > '9') return -1;
    value = value * 10 + at[i] - '0';
  }
  return value;
}

/* Milliseconds since 1970 UTC of `2026-11-24T19:00:00.123Z` (up to six digits of a second, the
   rest of a millisecond cut off; `+00:00` for Z), false where it is another form of time. */
static bool read_time(Span text, int64_t *ms) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  Place at = text.at, end = at + text.size;
  if (text.size < 20 || text.escaped || at[4] != '-' || at[7] != '-' || at[10] != 'T' ||
      at[13] != ':' || at[16] != ':')
    return false;
  int year = number_of(at, 4), month = number_of(at + 5, 2), day = number_of(at + 8, 2);
  int hour = number_of(at + 11, 2), minute = number_of(at + 14, 2);
  int second = number_of(at + 17, 2), fraction = 0;
  if (year < 1970 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59 || second < 0 || second > 59)
    return false;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day > days[month - 1] + (month == 2 && leap)) return false;
  at += 19;
  if (*at == '.') {
    Place digits = ++at;
    at = skip_digits(at, end);
    if (at == digits || at - digits > 6) return false;
    for (int i = 0; i < 3; i++) fraction = fraction * 10 + (digits + i < at ? digits[i] - '0' : 0);
  }
  if (!(end - at == 1 && *at == 'Z') && !(end - at == 6 && !memcmp(at, "+00:00", 6))) return false;
  /* days_from_civil of H. Hinnant, chrono-compatible low-level date algorithms. */
  int shifted = year - (month <= 2), era = shifted / 400, of_era = shifted - era * 400;
  int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t since = era * INT64_C(146097) + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
  since -= 719468;
  *ms = (((since * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction;
  return true;
}

#endif
