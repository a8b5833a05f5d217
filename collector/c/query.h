/* The query of the GIF, as wire/native.py reads it: one event, its facts spelled out in the same
   JSON that Python would write. Values with a quote, a backslash or a control character in them,
   broken escapes and fields given twice are left to Python. */
#ifndef COLLECTOR_QUERY_H
#define COLLECTOR_QUERY_H

#include "call.h"

#define MOST_PROPERTIES 32

enum fact { KEY, WHAT, ADDRESS, HEADING, FROM, ID, WHO, USER, FACTS };

typedef struct {
  Span facts[FACTS];
  Span names[MOST_PROPERTIES], values[MOST_PROPERTIES];
  size_t properties;
} Query;

static int hex_digit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Whether a text stands in JSON as it is, as sound UTF-8. */
static bool is_literal(Span text) {
  Place at = text.at, end = at + text.size;
  while (at && at < end) {
    if (*at < 0x20 || *at == '"' || *at == '\\') return false;
    at = *at < 0x80 ? at + 1 : skip_utf8(at, end);
  }
  return at || !text.at;
}

/* What lies between `at` and `end` without its escapes, written to `*to`. */
static bool unquote(Place at, Place end, uint8_t **to, Span *text) {
  text->at = *to;
  while (at < end) {
    uint8_t byte = *at++;
    if (byte == '+') byte = ' ';
    if (byte == '%') {
      int high = end - at >= 2 ? hex_digit(at[0]) : -1, low = high < 0 ? -1 : hex_digit(at[1]);
      if (low < 0) return false;
      byte = (uint8_t)(high << 4 | low);
      at += 2;
    } else if (byte >= 0x80) {
      return false;
    }
    *(*to)++ = byte;
  }
  text->size = (size_t)(*to - text->at);
  text->escaped = false;
  return is_literal(*text);
}

static int fact_number(Span key) {
  return IS("k")     ? KEY
         : IS("e")   ? WHAT
         : IS("u")   ? ADDRESS
         : IS("t")   ? HEADING
         : IS("r")   ? FROM
         : IS("id")  ? ID
         : IS("a")   ? WHO
         : IS("uid") ? USER
                     : FACTS;
}

static bool read_field(Query *query, Place at, Place end, uint8_t **to) {
  Place equals = memchr(at, '=', (size_t)(end - at));
  Span key, value;
  if (!unquote(at, equals ? equals : end, to, &key) ||
      !unquote(equals ? equals + 1 : end, end, to, &value))
    return false;
  int fact = fact_number(key);
  if (fact < FACTS) {
    if (query->facts[fact].at) return false;
    query->facts[fact] = value;
  } else if (key.size >= 2 && key.at[0] == 'p' && key.at[1] == '.') {
    Span name = {key.at + 2, key.size - 2, false};
    if (query->properties == MOST_PROPERTIES) return false;
    for (size_t i = 0; i < query->properties; i++)
      if (is(query->names[i], (const char *)name.at, name.size)) return false;
    query->names[query->properties] = name;
    query->values[query->properties++] = value;
  }
  return true;
}

static void write_bytes(uint8_t **to, const void *bytes, size_t size) {
  memcpy(*to, bytes, size);
  *to += size;
}

static void write_pair(uint8_t **to, Span name, Span value) {
  if ((*to)[-1] != '{') *(*to)++ = ',';
  *(*to)++ = '"';
  write_bytes(to, name.at, name.size);
  write_bytes(to, "\":\"", 3);
  write_bytes(to, value.at, value.size);
  *(*to)++ = '"';
}

static void write_page(uint8_t **to, const Span page[PAGE_TEXTS]) {
  static const char *const names[PAGE_TEXTS] = {"url", "path", "title", "referrer"};
  for (int i = 0; i < PAGE_TEXTS; i++)
    if (page[i].size) write_pair(to, (Span){(Place)names[i], strlen(names[i]), false}, page[i]);
}

static void fill_item(Item *item, const Query *query, Span page, uint8_t *to) {
  memset(item, 0, sizeof *item);
  Span event = query->facts[WHAT];
  item->kind = !event.size || is(event, "page", 4) ? PAGE : TRACK;
  item->texts[EVENT] = event;
  item->texts[MESSAGE_ID] = query->facts[ID];
  item->texts[USER_ID] = query->facts[USER];
  item->texts[ANONYMOUS_ID] = query->facts[WHO];
  item->page[URL] = query->facts[ADDRESS].size ? query->facts[ADDRESS] : page;
  item->page[TITLE] = query->facts[HEADING];
  item->page[REFERRER] = query->facts[FROM];
  for (int i = 0; i < PAGE_TEXTS; i++) /* what is empty is not said at all */
    if (!item->page[i].size) item->page[i].at = NULL;

  item->properties.at = to;
  *to++ = '{';
  if (item->kind == PAGE) write_page(&to, item->page);
  for (size_t i = 0; i < query->properties; i++)
    write_pair(&to, query->names[i], query->values[i]);
  *to++ = '}';
  item->properties.size = (size_t)(to - item->properties.at);
  if (item->properties.size == 2) item->properties.at = NULL;

  item->context.at = to;
  write_bytes(&to, "{\"page\":{", 9);
  write_page(&to, item->page);
  write_bytes(&to, "}}", 2);
  item->context.size = (size_t)(to - item->context.at);
  if (item->context.size == 11) item->context.at = NULL;
}

/* `page`: where the request says it comes from. What is written down takes at most five times the
   query: once unquoted, a field's two more quotes and its colon at most doubling it, page facts
   twice more. */
static bool read_query(Call *call, Place at, Place end, Span page, const Limits *limits) {
  Query query = {0};
  Item *item = one_more(call);
  uint8_t *to = call->written = malloc(5 * (size_t)(end - at) + 2 * page.size + 256);
  if (!item || !to || !is_literal(page)) return false;
  while (at < end) {
    Place stop = memchr(at, '&', (size_t)(end - at));
    if (!stop) stop = end;
    if (!read_field(&query, at, stop, &to)) return false;
    at = stop < end ? stop + 1 : end;
  }
  fill_item(item, &query, page, to);
  call->key = query.facts[KEY];
  return settle(item, limits);
}

#endif
