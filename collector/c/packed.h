/* A packed batch (row.h) as a table of SQLite's, `packed_events`: its columns are the events', its
   rowid an event's place. Each event is taken apart once; of the same bytes as JSON
   (`jsonb_each`, `->>`) SQLite walks from the first element to each column's, and makes a copy of
   every event before. https://sqlite.org/vtab.html */
#ifndef COLLECTOR_PACKED_H
#define COLLECTOR_PACKED_H

#include <stdlib.h>

#include "row.h"

typedef struct sqlite3 sqlite3;
typedef void (*Function)(void);
/* A place in sqlite3_api_routines, which is only ever added to (sqlite3ext.h). */
#define CALL(api, place, result, ...) ((result(*)(__VA_ARGS__))(api)[place])
enum {
  CREATE_MODULE_V2 = 119,
  DECLARE_VTAB = 50,
  RESULT_ERROR_NOMEM = 137,
  RESULT_INT64 = 83,
  RESULT_TEXT = 85
};

/* What the table holds while a statement is executed. */
typedef struct {
  const Function *api;
  const uint8_t *at;
  size_t size;
} Batch;

/* As sqlite3.h has them, as far as they are used here. */
typedef struct sqlite3_context sqlite3_context;
typedef struct sqlite3_index_info sqlite3_index_info;
typedef struct sqlite3_value sqlite3_value;
typedef struct {
  const void *module;
  int references;
  char *error;
  const Batch *batch;
} PackedTable;
typedef struct {
  PackedTable *table;
  const uint8_t *next, *end; /* what follows this event */
  int64_t place;
  bool over;
  Element elements[COLUMNS];
  int count;
} PackedCursor;

static int packed_connect(sqlite3 *db, void *batch, int argc, const char *const *argv,
                          PackedTable **made, char **error) {
  (void)argc, (void)argv, (void)error;
  char declared[32 * COLUMNS] = "CREATE TABLE packed_events(";
  for (int i = 0; i < COLUMNS; i++) {
    if (i) strcat(declared, ", ");
    strcat(declared, COLUMN_NAMES[i]);
  }
  strcat(declared, ")");
  const Function *api = ((const Batch *)batch)->api;
  int code = CALL(api, DECLARE_VTAB, int, sqlite3 *, const char *)(db, declared);
  if (code) return code;
  PackedTable *table = calloc(1, sizeof *table);
  if (!table) return NOMEM;
  table->batch = batch;
  *made = table;
  return OK;
}

static int packed_disconnect(PackedTable *table) {
  free(table);
  return OK;
}

static int packed_best_index(PackedTable *table, sqlite3_index_info *info) {
  (void)table, (void)info; /* there is but one way through it */
  return OK;
}

static int packed_open(PackedTable *table, PackedCursor **made) {
  (void)table;
  *made = calloc(1, sizeof **made);
  return *made ? OK : NOMEM;
}

static int packed_close(PackedCursor *cursor) {
  free(cursor);
  return OK;
}

static int packed_next(PackedCursor *cursor) {
  Element event;
  cursor->place++;
  cursor->over = cursor->next == cursor->end;
  if (cursor->over) return OK;
  const uint8_t *at = read_element(cursor->next, cursor->end, &event);
  if (!at || event.type != ARRAY) return MISMATCH;
  cursor->next = at;
  cursor->count = 0;
  at = event.at;
  while (at != event.at + event.size) {
    if (cursor->count == COLUMNS) return MISMATCH;
    at = read_element(at, event.at + event.size, &cursor->elements[cursor->count++]);
    if (!at) return MISMATCH;
  }
  return OK;
}

static int packed_filter(PackedCursor *cursor, int number, const char *name, int argc,
                         sqlite3_value **argv) {
  (void)number, (void)name, (void)argc, (void)argv;
  const Batch *batch = cursor->table->batch;
  Element all;
  if (!batch->at || !read_element(batch->at, batch->at + batch->size, &all) || all.type != ARRAY)
    return MISMATCH;
  cursor->next = all.at;
  cursor->end = all.at + all.size;
  cursor->place = -1;
  return packed_next(cursor);
}

static int packed_eof(PackedCursor *cursor) { return cursor->over; }

static int packed_rowid(PackedCursor *cursor, int64_t *place) {
  *place = cursor->place;
  return OK;
}

static int64_t number_in(const Element *element) {
  bool negative = element->size && *element->at == '-';
  uint64_t number = 0;
  for (size_t i = negative; i < element->size; i++) number = number * 10 + (element->at[i] - '0');
  return (int64_t)(negative ? -number : number);
}

/* A text without the escapes that scan.h lets pass: one character each. */
static size_t unescape(char *to, const Element *element) {
  static const char said[] = "bfnrt", meant[] = "\b\f\n\r\t";
  char *start = to;
  for (size_t i = 0; i < element->size; i++) {
    char c = (char)element->at[i];
    if (c == '\\' && i + 1 < element->size) {
      c = (char)element->at[++i];
      const char *found = strchr(said, c);
      if (found && c) c = meant[found - said];
    }
    *to++ = c;
  }
  return (size_t)(to - start);
}

#define STATIC ((void (*)(void *))0) /* the batch stays where it is */

static int packed_column(PackedCursor *cursor, sqlite3_context *context, int column) {
  const Function *api = cursor->table->batch->api;
  if (column >= cursor->count) return OK; /* NULL */
  const Element *element = &cursor->elements[column];
  const char *text = (const char *)element->at;
  size_t size = element->size;
  void (*done)(void *) = STATIC;
  if (element->type == NOTHING) return OK;
  if (element->type == INTEGER) {
    CALL(api, RESULT_INT64, void, sqlite3_context *, int64_t)(context, number_in(element));
    return OK;
  }
  if (element->type == ESCAPED) {
    char *plain = malloc(size + 1);
    if (!plain) {
      CALL(api, RESULT_ERROR_NOMEM, void, sqlite3_context *)(context);
      return NOMEM;
    }
    size = unescape(plain, element);
    text = plain;
    done = free;
  } else if (element->type != RAW) {
    return MISMATCH;
  }
  CALL(api, RESULT_TEXT, void, sqlite3_context *, const char *, int, void (*)(void *))
  (context, text, (int)size, done);
  return OK;
}

/* Version 0 of sqlite3_module; without a way to create it the table is there by itself. */
static const struct {
  int version;
  void *create;
  int (*connect)(sqlite3 *, void *, int, const char *const *, PackedTable **, char **);
  int (*best_index)(PackedTable *, sqlite3_index_info *);
  int (*disconnect)(PackedTable *);
  void *destroy;
  int (*open)(PackedTable *, PackedCursor **);
  int (*close)(PackedCursor *);
  int (*filter)(PackedCursor *, int, const char *, int, sqlite3_value **);
  int (*next)(PackedCursor *);
  int (*eof)(PackedCursor *);
  int (*column)(PackedCursor *, sqlite3_context *, int);
  int (*rowid)(PackedCursor *, int64_t *);
  void *update, *begin, *sync, *commit, *rollback, *find_function, *rename;
} packed_module = {.connect = packed_connect,
                   .best_index = packed_best_index,
                   .disconnect = packed_disconnect,
                   .open = packed_open,
                   .close = packed_close,
                   .filter = packed_filter,
                   .next = packed_next,
                   .eof = packed_eof,
                   .column = packed_column,
                   .rowid = packed_rowid};

/* Have the table on this connection, or with no batch have it no more. */
static int offer(const Function *api, sqlite3 *db, Batch *batch) {
  return CALL(api, CREATE_MODULE_V2, int, sqlite3 *, const char *, const void *, void *,
              void (*)(void *))(db, "packed_events", batch ? &packed_module : NULL, batch, NULL);
}

#endif
