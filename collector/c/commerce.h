/* Properties of a purchase or a lead in which there is certainly nothing wrong. What may be, and
   what is, people/commerce.py says: here is less than it takes. */
#ifndef COLLECTOR_COMMERCE_H
#define COLLECTOR_COMMERCE_H

#include "scan.h"

#define MOST_WHOLE_DIGITS 12 /* of an amount whose millionths have room in 64 bits */
#define LONGEST_LOCAL_PART 64
#define LONGEST_EMAIL 254

static inline bool is_letter(uint8_t byte) {
  return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

static inline bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

/* A value as it stands, or between its quotes. */
static bool is_text(Span value) { return *value.at == '"' && !value.escaped; }

static Span unquoted(Span value) { return (Span){value.at + 1, value.size - 2, false}; }

static bool is_null(Span value) { return *value.at == 'n'; }

/* 119.85, as a number or as a text. */
static bool is_amount(Span value) {
  Span digits = is_text(value) ? unquoted(value) : value;
  Place at = digits.at, end = at + digits.size, begin;
  if (at < end && *at == '-') at++;
  begin = at;
  at = skip_digits(at, end);
  if (at == begin || at - begin > MOST_WHOLE_DIGITS || digits.size > MOST_DIGITS) return false;
  if (at < end && *at == '.') {
    begin = ++at;
    at = skip_digits(at, end);
    if (at == begin) return false;
  }
  return at == end;
}

static bool is_currency(Span value) {
  if (!is_text(value) || value.size != 5) return false;
  return is_letter(value.at[1]) && is_letter(value.at[2]) && is_letter(value.at[3]);
}

/* A text; ids are often sent as numbers. */
static bool is_name(Span value) {
  return *value.at == '"' || *value.at == '-' || is_digit(*value.at);
}

static bool is_email(Span value) {
  if (!is_text(value)) return false;
  Span text = unquoted(value);
  Place at = text.at, end = at + text.size, part = at;
  int dots = 0;
  while (at < end && (is_letter(*at) || is_digit(*at) || strchr("._+-", *at))) at++;
  if (at == part || at - part > LONGEST_LOCAL_PART || at == end || *at != '@') return false;
  for (part = ++at; at < end; at++) {
    if (*at == '.') {
      if (at == part) return false;
      part = at + 1;
      dots++;
    } else if (!is_letter(*at) && !is_digit(*at) && *at != '-') {
      return false;
    }
  }
  return dots && at > part && text.size <= LONGEST_EMAIL;
}

typedef bool Judge(Span key, Span value);

/* Whether each value of an object that was looked through before is as it should be. */
static bool all_sound(Span object, Judge *judge) {
  Place at = object.at + 1, end = object.at + object.size;
  Span key, text;
  bool first = true;
  while ((at = next_key(at, end, &key, &first)) && key.at) {
    Span value = {.at = at};
    if (key.escaped) return false;
    at = *at == '"' ? read_string(at, end, &text) : skip_value(at, end, MOST_LEVELS);
    if (!at) return false;
    value.size = (size_t)(at - value.at);
    value.escaped = *value.at == '"' && text.escaped;
    if (!is_null(value) && !judge(key, value)) return false;
  }
  return at;
}

static bool sound_in_product(Span key, Span value) {
  if (IS("price") || IS("quantity")) return is_amount(value);
  if (IS("product_id") || IS("name") || IS("sku") || IS("category")) return is_name(value);
  return true;
}

static bool sound_products(Span array) {
  Place at = array.at + 1, end = array.at + array.size;
  bool first = true, more;
  if (*array.at != '[') return false;
  while ((at = next_element(at, end, &more, &first)) && more) {
    Span product = {.at = at};
    if (*at != '{' || !(at = skip_value(at, end, MOST_LEVELS))) return false;
    product.size = (size_t)(at - product.at);
    if (!all_sound(product, sound_in_product)) return false;
  }
  return at;
}

static bool sound_in_purchase(Span key, Span value) {
  if (IS("total") || IS("revenue")) return is_amount(value);
  if (IS("currency")) return is_currency(value);
  if (IS("order_id") || IS("orderId")) return is_name(value);
  return IS("products") ? sound_products(value) : true;
}

static bool sound_in_lead(Span key, Span value) {
  if (IS("email")) return is_email(value);
  return IS("source") ? is_name(value) : true;
}

static bool is_sound_purchase(Span properties) {
  return !properties.at || all_sound(properties, sound_in_purchase);
}

static bool names_email(Span properties) {
  Place at = properties.at + 1, end = properties.at + properties.size;
  Span key;
  bool first = true, named = false;
  while ((at = next_key(at, end, &key, &first)) && key.at) {
    if (IS("email")) named = *at == '"'; /* the last one counts */
    if (!(at = skip_value(at, end, MOST_LEVELS))) return false;
  }
  return named;
}

static bool is_sound_lead(Span properties) {
  return properties.at && names_email(properties) && all_sound(properties, sound_in_lead);
}

#endif
