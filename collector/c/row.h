/* A row of the log as an array in SQLite's binary JSON: https://sqlite.org/jsonb.html. Texts are
   kept as they are, so nothing is escaped here and taken apart there. */
#ifndef COLLECTOR_ROW_H
#define COLLECTOR_ROW_H

#include "scan.h"

/* Element types of the format: an integer's digits; a text with JSON's escapes in it; one as it
   is to be read. */
enum element { NOTHING = 0, INTEGER = 3, ESCAPED = 8, RAW = 10, ARRAY = 11 };

/* The columns of Event (event.py), in its order. */
enum column {
  C_MESSAGE_ID,
  C_SITE,
  C_TYPE,
  C_EVENT,
  C_USER_ID,
  C_ANONYMOUS_ID,
  C_GROUP_ID,
  C_PREVIOUS_ID,
  C_TIMESTAMP,
  C_RECEIVED_AT,
  C_SENT_AT,
  C_ORIGINAL_TIMESTAMP,
  C_URL,
  C_PATH,
  C_TITLE,
  C_REFERRER,
  C_PROPERTIES,
  C_TRAITS,
  C_CONTEXT,
  C_IP,
  C_USER_AGENT,
  C_CONSENT,
  C_TRUSTED,
  C_BOT,
  C_VIOLATIONS,
  C_NODE_ID,
  C_NODE_SEQ,
  COLUMNS
};
static const char *const COLUMN_NAMES[COLUMNS] = {
    "message_id", "site",       "type",       "event",     "user_id",    "anonymous_id",
    "group_id",   "previous_id", "timestamp", "received_at", "sent_at",  "original_timestamp",
    "url",        "path",       "title",      "referrer",  "properties", "traits",
    "context",    "ip",         "user_agent", "consent",   "trusted",    "bot",
    "violations", "node_id",    "node_seq"};

/* What a row asks of the statement: store/log.py has one for each. */
enum rare { PLAIN_ROW = 0, TRAITS_ROW = 1, RARE_ROW = 2 };

typedef struct {
  const void *at;
  size_t size;
  enum element type;
} Field;

typedef struct {
  Field fields[COLUMNS];
  char digits[COLUMNS][24]; /* of the numbers among them */
} Row;

static inline void put_text(Row *row, enum column column, Span text) {
  if (text.at) row->fields[column] = (Field){text.at, text.size, text.escaped ? ESCAPED : RAW};
}

/* A text that counts as none when it is empty. */
static inline void put_filled(Row *row, enum column column, Span text) {
  if (text.size) put_text(row, column, text);
}

static void put_number(Row *row, enum column column, int64_t number) {
  char *end = row->digits[column] + sizeof row->digits[column], *at = end;
  uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
  do *--at = (char)('0' + rest % 10);
  while (rest /= 10);
  if (number < 0) *--at = '-';
  row->fields[column] = (Field){at, (size_t)(end - at), INTEGER};
}

static inline size_t head_size(size_t size) {
  return size < 12 ? 1 : size < 0x100 ? 2 : size < 0x10000 ? 3 : 5;
}

/* An element's head: its type, and its size in 0, 1, 2 or 4 bytes. */
static inline uint8_t *write_head(uint8_t *to, enum element type, size_t size) {
  size_t bytes = head_size(size) - 1;
  *to++ = (uint8_t)(type | (bytes == 0 ? size : bytes == 1 ? 12 : bytes == 2 ? 13 : 14) << 4);
  while (bytes) *to++ = (uint8_t)(size >> 8 * --bytes);
  return to;
}

typedef struct {
  const uint8_t *at;
  size_t size;
  int type;
} Element;

/* Where the element ends that begins at `at`; NULL when it is not whole. */
static inline const uint8_t *read_element(const uint8_t *at, const uint8_t *end, Element *found) {
  if (at >= end) return NULL;
  size_t size = *at >> 4, bytes = size < 12 ? 0 : (size_t)1 << (size - 12);
  found->type = *at++ & 15;
  if (bytes > 4 || (size_t)(end - at) < bytes) return NULL;
  if (bytes) size = 0;
  while (bytes--) size = size << 8 | *at++;
  if ((size_t)(end - at) < size) return NULL;
  found->at = at;
  found->size = size;
  return at + size;
}

/* How many columns there are up to the last that holds something. */
static int width(const Row *row) {
  int columns = COLUMNS;
  while (columns && row->fields[columns - 1].type == NOTHING) columns--;
  return columns;
}

static size_t content_size(const Row *row, int columns) {
  size_t size = 0;
  for (int i = 0; i < columns; i++) size += head_size(row->fields[i].size) + row->fields[i].size;
  return size;
}

static void write_row(uint8_t *to, const Row *row, int columns, size_t size) {
  to = write_head(to, ARRAY, size);
  for (int i = 0; i < columns; i++) {
    const Field *field = &row->fields[i];
    to = write_head(to, field->type, field->size);
    if (field->size) memcpy(to, field->at, field->size);
    to += field->size;
  }
}

static enum rare rarity(const Row *row) {
  static const enum column rare[] = {C_GROUP_ID,   C_PREVIOUS_ID, C_CONSENT, C_TRUSTED,
                                     C_BOT,        C_VIOLATIONS,  C_NODE_ID, C_NODE_SEQ};
  for (size_t i = 0; i < sizeof rare / sizeof *rare; i++)
    if (row->fields[rare[i]].type != NOTHING) return RARE_ROW;
  return row->fields[C_TRAITS].type != NOTHING ? TRAITS_ROW : PLAIN_ROW;
}

#endif
