/* A call of Segment's API or the pixel's: where its fields lie in the body.

   The rules are those of wire/decode.py and wire/build.py, for what nearly all clients send; a
   body that would take another turn there ends the look. tests/wire/test_rows.py sends the same
   bodies both ways and compares what becomes of them. */
#ifndef COLLECTOR_CALL_H
#define COLLECTOR_CALL_H

#include <stdlib.h>

#include "scan.h"

#define MOST_LEVELS 64 /* of nesting that the machine's stack is asked for */

enum kind { ALIAS, GROUP, IDENTIFY, PAGE, SCREEN, TRACK, KINDS };
static const char *const KIND_NAMES[KINDS] = {"alias", "group", "identify",
                                              "page",  "screen", "track"};

enum text {
  MESSAGE_ID,
  EVENT,
  NAME,
  USER_ID,
  ANONYMOUS_ID,
  GROUP_ID,
  PREVIOUS_ID,
  TYPE,
  WRITE_KEY,
  AGENT, /* the context's userAgent */
  TEXTS
};
enum page { URL, PATH, TITLE, REFERRER, PAGE_TEXTS };

typedef struct {
  enum kind kind;
  Span texts[TEXTS];
  Span page[PAGE_TEXTS]; /* of the context, or laid over it where it is a page's own */
  Span properties, traits, context;
  bool timed, sent; /* whether the two below are there */
  int64_t timestamp, sent_at;
  bool context_traits, opened_category, stamped;
} Item;

typedef struct {
  size_t event_bytes, message_id_chars, batch_events;
  int levels;
} Limits;

typedef struct {
  Item *items;
  size_t count, room;
  uint8_t *written; /* what the spans of a query lie in */
  Span key;
  bool sent;
  int64_t sent_at;
} Call;

static inline bool is(Span key, const char *name, size_t size) {
  return key.size == size && !memcmp(key.at, name, size);
}
#define IS(name) is(key, name, sizeof(name) - 1)

static inline bool given(Span span) { return span.at && span.size; }

/* One more field with this number: false where it is the second one, of which the last counts. */
static inline bool once(uint32_t *seen, int number) {
  bool fresh = !(*seen >> number & 1);
  *seen |= UINT32_C(1) << number;
  return fresh;
}

static Place read_page(Place at, Place end, int levels, Span page[PAGE_TEXTS]) {
  Span key;
  bool first = true;
  uint32_t seen = 0;
  if (*at != '{' || levels < 1) return NULL;
  at++;
  while ((at = next_key(at, end, &key, &first)) && key.at) {
    int field = IS("url")        ? URL
                : IS("path")     ? PATH
                : IS("title")    ? TITLE
                : IS("referrer") ? REFERRER
                                 : PAGE_TEXTS;
    if (key.escaped) return NULL; /* may be one of these, spelled otherwise */
    if (field == PAGE_TEXTS) {
      at = skip_value(at, end, levels - 1);
    } else {
      if (!once(&seen, field)) return NULL;
      at = read_text(at, end, &page[field]);
    }
    if (!at) return NULL;
  }
  return at;
}

/* true only: false and null say nothing. */
static inline Place read_not_true(Place at, Place end) {
  return *at == 'f' ? skip_word(at, end, "false", 5) : skip_word(at, end, "null", 4);
}

static Place read_context(Place at, Place end, int levels, Item *item) {
  Span key;
  bool first = true;
  uint32_t seen = 0;
  item->context.at = at;
  if (*at != '{') {
    item->context.at = NULL;
    return skip_word(at, end, "null", 4);
  }
  if (levels < 1) return NULL;
  at++;
  while ((at = next_key(at, end, &key, &first)) && key.at) {
    if (key.escaped) return NULL;
    if (IS("page")) {
      if (!once(&seen, 0)) return NULL;
      at = *at == 'n' ? skip_word(at, end, "null", 4) : read_page(at, end, levels - 1, item->page);
    } else if (IS("userAgent")) {
      if (!once(&seen, 1)) return NULL;
      at = read_text(at, end, &item->texts[AGENT]);
    } else if (IS("ip")) {
      at = skip_word(at, end, "null", 4);
    } else if (IS("gpc") || IS("dnt") || IS("bot")) {
      at = read_not_true(at, end);
    } else if (IS("consent")) {
      return NULL;
    } else {
      item->context_traits |= IS("traits");
      at = skip_value(at, end, levels - 1);
    }
    if (!at) return NULL;
  }
  if (at) item->context.size = (size_t)(at - item->context.at);
  return at;
}

static Place read_moment(Place at, Place end, bool *there, int64_t *ms) {
  Span text;
  if (*at == 'n') return skip_word(at, end, "null", 4);
  if (!(at = read_string(at, end, &text)) || !read_time(text, ms)) return NULL;
  *there = true;
  return at;
}

/* `integrations` become part of the context unless they say nothing. */
static Place read_integrations(Place at, Place end, int levels) {
  Span key = {.at = at};
  if (!(at = skip_value(at, end, levels))) return NULL;
  key.size = (size_t)(at - key.at);
  bool nothing = *key.at != '{' || IS("{}") || IS("{\"All\":true}") || IS("{\"All\": true}");
  return nothing ? at : NULL;
}

/* An event's fields: the texts, and behind them these. */
enum field { PROPERTIES = TEXTS, TRAITS, CONTEXT, TIMESTAMP, SENT_AT, INTEGRATIONS, OTHER };

static int field_of(Span key) {
  switch (key.size) {
    case 4:
      return IS("type") ? TYPE : IS("name") ? NAME : OTHER;
    case 5:
      return IS("event") ? EVENT : OTHER;
    case 6:
      return IS("userId") ? USER_ID : IS("traits") ? TRAITS : IS("sentAt") ? SENT_AT : OTHER;
    case 7:
      return IS("context") ? CONTEXT : IS("groupId") ? GROUP_ID : OTHER;
    case 8:
      return IS("writeKey") ? WRITE_KEY : OTHER;
    case 9:
      return IS("messageId") ? MESSAGE_ID : IS("timestamp") ? TIMESTAMP : OTHER;
    case 10:
      return IS("properties") ? PROPERTIES : IS("previousId") ? PREVIOUS_ID : OTHER;
    case 11:
      return IS("anonymousId") ? ANONYMOUS_ID : OTHER;
    case 12:
      return IS("integrations") ? INTEGRATIONS : OTHER;
    default:
      return OTHER;
  }
}

/* One event; its kind is not settled yet. */
static Place read_item(Place at, Place end, int levels, Item *item) {
  Span key;
  bool first = true;
  uint32_t seen = 0;
  memset(item, 0, sizeof *item);
  if (*at != '{' || levels < 1) return NULL;
  at++;
  levels--;
  while ((at = next_key(at, end, &key, &first)) && key.at) {
    int field = field_of(key);
    if (key.escaped || (field != OTHER && !once(&seen, field))) return NULL;
    switch (field) {
      case PROPERTIES:
        at = read_object(at, end, levels, &item->properties);
        break;
      case TRAITS:
        at = read_object(at, end, levels, &item->traits);
        break;
      case CONTEXT:
        at = read_context(at, end, levels, item);
        break;
      case TIMESTAMP:
        at = read_moment(at, end, &item->timed, &item->timestamp);
        break;
      case SENT_AT:
        at = read_moment(at, end, &item->sent, &item->sent_at);
        break;
      case INTEGRATIONS:
        at = read_integrations(at, end, levels);
        break;
      case OTHER:
        item->opened_category |= IS("category") && *at == '"';
        item->stamped |= IS("originalTimestamp");
        at = skip_value(at, end, levels);
        break;
      default:
        at = read_text(at, end, &item->texts[field]);
    }
    if (!at) return NULL;
  }
  return at;
}

static bool is_ascii(Span text) {
  for (size_t i = 0; i < text.size; i++)
    if (text.at[i] >= 0x80) return false;
  return true;
}

/* A page's own facts, what they leave out taken from its context (build._over). */
static bool lay_over(Item *item, int levels) {
  Span own[PAGE_TEXTS] = {{0}}, *base = item->page;
  if (!read_page(item->properties.at, item->properties.at + item->properties.size, levels, own))
    return false;
  if (own[PATH].size || own[URL].size) base[PATH] = own[PATH];
  if (own[URL].size) base[URL] = own[URL];
  if (own[TITLE].size) base[TITLE] = own[TITLE];
  if (own[REFERRER].at) base[REFERRER] = own[REFERRER];
  return true;
}

/* Whether the rules of build._event take the item without a second thought. */
static bool settle(Item *item, const Limits *limits) {
  Span id = item->texts[MESSAGE_ID];
  if (!id.size || id.escaped || id.size > limits->message_id_chars || !is_ascii(id)) return false;
  if (item->kind == TRACK && !item->texts[EVENT].size) return false;
  if (item->kind == IDENTIFY && !item->traits.at && item->context_traits) return false;
  if ((item->kind == PAGE || item->kind == SCREEN) && item->opened_category) return false;
  if (!item->timed && item->stamped) return false;
  if (item->texts[AGENT].escaped) return false;
  if (item->kind == PAGE && item->properties.at && !lay_over(item, limits->levels - 1))
    return false;
  Span url = item->page[URL]; /* out of which the path is cut */
  return item->page[PATH].size || !url.escaped;
}

static int kind_of(Span key) {
  for (int kind = 0; kind < KINDS; kind++)
    if (is(key, KIND_NAMES[kind], strlen(KIND_NAMES[kind]))) return kind;
  return KINDS;
}

static Item *one_more(Call *call) {
  if (call->count == call->room) {
    size_t room = call->room ? 2 * call->room : 1;
    Item *items = realloc(call->items, room * sizeof *items);
    if (!items) return NULL;
    call->items = items;
    call->room = room;
  }
  return &call->items[call->count++];
}

/* The body of /v1/track and its like. */
static bool read_single(Call *call, Place at, Place end, enum kind kind, const Limits *limits) {
  Item *item = one_more(call);
  if (!item || (size_t)(end - at) > limits->event_bytes) return false;
  at = skip_space(at, end);
  if (at == end) return false;
  if (!(at = read_item(at, end, limits->levels, item)) || skip_space(at, end) != end) return false;
  item->kind = kind;
  call->key = item->texts[WRITE_KEY];
  call->sent = item->sent;
  call->sent_at = item->sent_at;
  return settle(item, limits);
}

static Place read_items(Call *call, Place at, Place end, const Limits *limits) {
  bool first = true, more;
  if (*at != '[') return NULL;
  at++;
  while ((at = next_element(at, end, &more, &first)) && more) {
    Place begin = at;
    Item *item = one_more(call);
    if (!item || !(at = read_item(at, end, limits->levels, item))) return NULL;
    if ((size_t)(at - begin) > limits->event_bytes || call->count > limits->batch_events)
      return NULL;
    int kind = kind_of(item->texts[TYPE]);
    if (kind == KINDS || item->sent) return NULL;
    item->kind = (enum kind)kind;
    if (!settle(item, limits)) return NULL;
  }
  return at;
}

/* The body of /v1/batch. */
static bool read_batch(Call *call, Place at, Place end, const Limits *limits) {
  Span key;
  bool first = true;
  uint32_t seen = 0;
  at = skip_space(at, end);
  if (at == end || *at != '{') return false;
  at++;
  while ((at = next_key(at, end, &key, &first)) && key.at) {
    if (key.escaped) return false;
    if (IS("batch")) {
      if (!once(&seen, 0)) return false;
      at = read_items(call, at, end, limits);
    } else if (IS("writeKey")) {
      if (!once(&seen, 1)) return false;
      at = read_text(at, end, &call->key);
    } else if (IS("sentAt")) {
      if (!once(&seen, 2)) return false;
      at = read_moment(at, end, &call->sent, &call->sent_at);
    } else if (IS("context") || IS("integrations")) {
      at = skip_word(at, end, "null", 4);
    } else if (IS("fresh") || IS("reset")) {
      return false;
    } else {
      at = skip_value(at, end, limits->levels + 1);
    }
    if (!at) return false;
  }
  return at && skip_space(at, end) == end && call->count;
}

#endif
