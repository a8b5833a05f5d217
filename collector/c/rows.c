/* Bodies to rows of the log without the Python between them; see collector/rows.py. */
#include "compiled.h"

#include <structmember.h>

#include "call.h"
#include "commerce.h"
#include "query.h"
#include "row.h"

/* ---- Row: an event as the log takes it ---- */

typedef struct {
  PyObject_HEAD
  PyObject *site, *received_at, *identity, *data;
  int rare;
} RowObject;

static void row_dealloc(RowObject *self) {
  Py_DECREF(self->site);
  Py_DECREF(self->received_at);
  Py_DECREF(self->identity);
  Py_DECREF(self->data);
  PyObject_Free(self);
}

static PyMemberDef row_members[] = {
    {"site", T_OBJECT_EX, offsetof(RowObject, site), READONLY, NULL},
    {"received_at", T_OBJECT_EX, offsetof(RowObject, received_at), READONLY, NULL},
    {"identity", T_OBJECT_EX, offsetof(RowObject, identity), READONLY, NULL},
    {"data", T_OBJECT_EX, offsetof(RowObject, data), READONLY, NULL},
    {"rare", T_INT, offsetof(RowObject, rare), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

PyTypeObject collector_Row = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "collector._compiled.Row",
    .tp_basicsize = sizeof(RowObject),
    .tp_dealloc = (destructor)row_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_members = row_members,
};

/* ---- Decoder: the settings ---- */

typedef struct {
  PyObject_HEAD
  Limits limits;
  int64_t skew_ms;
  int scrub_all; /* every text, not only a suspicious one */
  PyObject *scrub, *harmless, *purchases, *leads, *known, *judge, *is_bot;
} DecoderObject;

static void decoder_dealloc(DecoderObject *self) {
  Py_XDECREF(self->scrub);
  Py_XDECREF(self->harmless);
  Py_XDECREF(self->purchases);
  Py_XDECREF(self->leads);
  Py_XDECREF(self->known);
  Py_XDECREF(self->judge);
  Py_XDECREF(self->is_bot);
  PyObject_Free(self);
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *names) {
  static char *keywords[] = {"event_bytes", "message_id_chars", "batch_events", "depth",
                             "skew_ms",     "scrub",            "scrub_all",    "harmless",
                             "purchases",   "leads",            "known",        "judge",
                             "is_bot",      NULL};
  Py_ssize_t bytes, chars, events;
  long long skew;
  int depth, all;
  PyObject *scrub, *harmless, *purchases, *leads, *known, *judge, *is_bot;
  if (!PyArg_ParseTupleAndKeywords(args, names, "$nnniLOpO!O!O!O!OO", keywords, &bytes, &chars,
                                   &events, &depth, &skew, &scrub, &all, &PySet_Type, &harmless,
                                   &PyFrozenSet_Type, &purchases, &PyFrozenSet_Type, &leads,
                                   &PyFrozenSet_Type, &known, &judge, &is_bot))
    return NULL;
  DecoderObject *self = PyObject_New(DecoderObject, type);
  if (!self) return NULL;
  self->limits = (Limits){(size_t)bytes, (size_t)chars, (size_t)events,
                          depth < MOST_LEVELS ? depth : MOST_LEVELS};
  self->skew_ms = skew;
  self->scrub_all = all;
  self->scrub = Py_NewRef(scrub);
  self->harmless = Py_NewRef(harmless);
  self->purchases = Py_NewRef(purchases);
  self->leads = Py_NewRef(leads);
  self->known = Py_NewRef(known);
  self->judge = Py_NewRef(judge);
  self->is_bot = Py_NewRef(is_bot);
  return (PyObject *)self;
}

/* ---- Plain: a body understood ---- */

typedef struct {
  PyObject_HEAD
  DecoderObject *decoder;
  PyObject *body; /* in which all spans lie */
  Call call;
} PlainObject;

static void plain_dealloc(PlainObject *self) {
  free(self->call.items);
  free(self->call.written);
  Py_DECREF(self->decoder);
  Py_DECREF(self->body);
  PyObject_Free(self);
}

/* The UTF-8 of a str; no span of None. */
static bool span_of(PyObject *text, Span *span) {
  Py_ssize_t size;
  *span = (Span){0};
  if (text == Py_None) return true;
  span->at = (Place)PyUnicode_AsUTF8AndSize(text, &size);
  span->size = span->at ? (size_t)size : 0;
  return span->at;
}

static PyObject *text_of(Span text) {
  return PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.size, NULL);
}

static PyObject *text_or_none(Span text) {
  return text.at ? text_of(text) : Py_NewRef(Py_None);
}

/* An empty one, its spans to lie in `body`. */
static PlainObject *plain_of(DecoderObject *decoder, PyObject *body) {
  PlainObject *plain = PyObject_New(PlainObject, &collector_Plain);
  if (!plain) return NULL;
  plain->decoder = (DecoderObject *)Py_NewRef((PyObject *)decoder);
  plain->body = Py_NewRef(body);
  memset(&plain->call, 0, sizeof plain->call);
  return plain;
}

/* Python's if it was understood, else None. */
static PyObject *finished(PlainObject *plain, bool understood) {
  if (understood && !plain->call.key.escaped) return (PyObject *)plain;
  Py_DECREF(plain);
  Py_RETURN_NONE;
}

static PyObject *decode(DecoderObject *self, PyObject *body, int kind) {
  char *bytes;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(body, &bytes, &size) < 0) return NULL;
  PlainObject *plain = plain_of(self, body);
  if (!plain) return NULL;
  Place at = (Place)bytes, end = at + size;
  return finished(plain, kind == KINDS ? read_batch(&plain->call, at, end, &self->limits)
                                       : read_single(&plain->call, at, end, (enum kind)kind,
                                                     &self->limits));
}

static PyObject *decoder_batch(DecoderObject *self, PyObject *body) {
  return decode(self, body, KINDS);
}

static PyObject *decoder_single(DecoderObject *self, PyObject *const *args, Py_ssize_t count) {
  if (count != 2 || !PyUnicode_Check(args[1])) {
    PyErr_SetString(PyExc_TypeError, "expected a body and a kind");
    return NULL;
  }
  Span name;
  if (!span_of(args[1], &name)) return NULL;
  int kind = kind_of(name);
  if (kind == KINDS) Py_RETURN_NONE;
  return decode(self, args[0], kind);
}

static PyObject *decoder_query(DecoderObject *self, PyObject *const *args, Py_ssize_t count) {
  Span query, page;
  if (count != 2 || !PyUnicode_Check(args[0])) {
    PyErr_SetString(PyExc_TypeError, "expected a query and a page");
    return NULL;
  }
  if (!span_of(args[0], &query) || !span_of(args[1], &page)) return NULL;
  PyObject *both = PyTuple_Pack(2, args[0], args[1]);
  PlainObject *plain = both ? plain_of(self, both) : NULL;
  Py_XDECREF(both);
  if (!plain) return NULL;
  return finished(plain, read_query(&plain->call, query.at, query.at + query.size, page,
                                    &self->limits));
}

static PyMethodDef decoder_methods[] = {
    {"single", (PyCFunction)(void (*)(void))decoder_single, METH_FASTCALL, NULL},
    {"batch", (PyCFunction)decoder_batch, METH_O, NULL},
    {"query", (PyCFunction)(void (*)(void))decoder_query, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};

PyTypeObject collector_Decoder = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "collector._compiled.Decoder",
    .tp_basicsize = sizeof(DecoderObject),
    .tp_dealloc = (destructor)decoder_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = decoder_new,
    .tp_methods = decoder_methods,
};

static PyObject *plain_key(PlainObject *self, void *unused) {
  (void)unused;
  return text_or_none(self->call.key);
}

/* Of the last event that names one, as ingest/visitor.py settles whose the cookie is. */
static PyObject *plain_visitor(PlainObject *self, void *unused) {
  (void)unused;
  for (size_t i = self->call.count; i--;) {
    Span id = self->call.items[i].texts[ANONYMOUS_ID];
    if (id.at) return id.escaped ? Py_NewRef(Py_None) : text_of(id);
  }
  Py_RETURN_NONE;
}

static PyGetSetDef plain_getset[] = {
    {"key", (getter)plain_key, NULL, NULL, NULL},
    {"visitor", (getter)plain_visitor, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

/* What the server knows of the request. */
typedef struct {
  PyObject *site, *received_at;
  Span site_text, ip, agent;
  int64_t at;
  bool bot, scrub;
} Arrival;

#define LONGEST_NAME 64 /* that wire/scrub.py remembers */

/* 1: go on; 0: the body is not plain; -1: an error is set. */
typedef int Verdict;

static bool holds_token(Span text) {
  Place end = text.at + text.size, at = text.at;
  while ((at = memchr(at, 'J', (size_t)(end - at)))) {
    if (at - text.at >= 2 && at[-1] == 'y' && at[-2] == 'e') return true;
    at++;
  }
  return false;
}

static inline bool separates(uint8_t byte) { return byte == '?' || byte == '&' || byte == '#'; }

/* Whether all names of parameters in a text are known to be harmless (Scrubber._named). */
static Verdict names_harmless(const DecoderObject *decoder, Span text) {
  Place end = text.at + text.size;
  for (Place at = text.at; at < end; at++) {
    if (!separates(*at)) continue;
    Place begin = at + 1, stop = begin;
    while (stop < end && *stop != '=' && !separates(*stop)) stop++;
    if (stop - begin > LONGEST_NAME) return 0;
    PyObject *name = text_of((Span){begin, (size_t)(stop - begin), false});
    if (!name) return -1;
    int known = PySet_Contains(decoder->harmless, name);
    Py_DECREF(name);
    if (known != 1) return known;
    at = stop - 1;
  }
  return 1;
}

/* Whether there is certainly nothing in a text that wire/scrub.py would take out. */
static Verdict is_clean(const DecoderObject *decoder, Span text) {
  if (decoder->scrub_all || memchr(text.at, '@', text.size) || memchr(text.at, '%', text.size) ||
      holds_token(text))
    return 0;
  return memchr(text.at, '=', text.size) ? names_harmless(decoder, text) : 1;
}

static Verdict stays_as_it_is(const DecoderObject *decoder, Span text) {
  Verdict clean = text.at ? is_clean(decoder, text) : 1;
  if (clean) return clean;
  PyObject *before = text_of(text);
  if (!before) return -1;
  PyObject *after = PyObject_CallOneArg(decoder->scrub, before);
  Verdict same = after ? PyObject_RichCompareBool(before, after, Py_EQ) : -1;
  Py_DECREF(before);
  Py_XDECREF(after);
  return same;
}

/* Whether there is certainly nothing wrong in an event of that name. */
static Verdict is_faultless(const DecoderObject *decoder, PyObject *name, Span properties) {
  int purchase = PySet_Contains(decoder->purchases, name);
  if (purchase) return purchase < 0 ? -1 : is_sound_purchase(properties);
  int lead = PySet_Contains(decoder->leads, name);
  return lead < 0 ? -1 : lead && is_sound_lead(properties);
}

/* What is wrong in a purchase or a lead, as text in `*violations`. */
static Verdict judged(const DecoderObject *decoder, const Item *item, PyObject **violations) {
  Span name = item->texts[EVENT];
  *violations = NULL;
  if (item->kind != TRACK || name.escaped) return 1;
  PyObject *text = text_of(name), *properties = NULL;
  int known = text ? PySet_Contains(decoder->known, text) : -1;
  Verdict verdict = known < 0 ? -1 : 1, faultless = 1;
  if (known > 0 && (faultless = is_faultless(decoder, text, item->properties)) < 0) verdict = -1;
  if (!faultless) {
    properties = text_or_none(item->properties);
    PyObject *args[] = {text, properties};
    PyObject *said = properties ? PyObject_Vectorcall(decoder->judge, args, 2, NULL) : NULL;
    if (!said) {
      verdict = -1;
    } else if (PyUnicode_Check(said)) {
      *violations = said;
    } else {
      Py_DECREF(said);
    }
  }
  Py_XDECREF(text);
  Py_XDECREF(properties);
  return verdict;
}

static Verdict of_bot(const DecoderObject *decoder, Span agent, bool *bot) {
  if (!agent.size) return 1;
  PyObject *text = text_of(agent);
  PyObject *said = text ? PyObject_CallOneArg(decoder->is_bot, text) : NULL;
  int yes = said ? PyObject_IsTrue(said) : -1;
  Py_XDECREF(text);
  Py_XDECREF(said);
  *bot |= yes > 0;
  return yes < 0 ? -1 : 1;
}

/* The path of an http address (build._path_of). */
static Span path_of(Span url, char *root) {
  Place at = url.at, end = at + url.size, begin = NULL;
  for (Place p = at; !begin && p + 2 < end; p++)
    if (p[0] == ':' && p[1] == '/' && p[2] == '/') begin = p + 3;
  if (!begin) return (Span){0};
  for (Place p = begin; p < end; p++)
    if (*p == '?' || *p == '#') end = p;
  Place slash = memchr(begin, '/', (size_t)(end - begin));
  return slash ? (Span){slash, (size_t)(end - slash), false} : (Span){(Place)root, 1, false};
}

static PyObject *identity_of(Span site, Span id) {
  PyObject *identity = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(site.size + 1 + id.size));
  if (!identity) return NULL;
  char *to = PyBytes_AS_STRING(identity);
  memcpy(to, site.at, site.size);
  to[site.size] = 0;
  memcpy(to + site.size + 1, id.at, id.size);
  return identity;
}

static void fill(Row *row, const Item *item, const Call *call, const Arrival *arrival,
                 int64_t skew_ms) {
  const Span *texts = item->texts;
  memset(row->fields, 0, sizeof row->fields);
  put_text(row, C_MESSAGE_ID, texts[MESSAGE_ID]);
  put_text(row, C_SITE, arrival->site_text);
  const char *kind = KIND_NAMES[item->kind];
  put_text(row, C_TYPE, (Span){(Place)kind, strlen(kind), false});
  put_filled(row, C_EVENT, texts[item->kind == TRACK ? EVENT : NAME]);
  put_filled(row, C_USER_ID, texts[USER_ID]);
  put_filled(row, C_ANONYMOUS_ID, texts[ANONYMOUS_ID]);
  put_filled(row, C_GROUP_ID, texts[GROUP_ID]);
  put_filled(row, C_PREVIOUS_ID, texts[PREVIOUS_ID]);
  /* The rules of build._clock: a clock that is off by more than the setting is set right. */
  int64_t skew = call->sent ? arrival->at - call->sent_at : 0, at = arrival->at;
  if (item->timed) {
    int64_t right = item->timestamp + (skew > skew_ms || skew < -skew_ms ? skew : 0);
    if (right < at) at = right;
    put_number(row, C_ORIGINAL_TIMESTAMP, item->timestamp);
  }
  put_number(row, C_TIMESTAMP, at);
  put_number(row, C_RECEIVED_AT, arrival->at);
  if (call->sent) put_number(row, C_SENT_AT, call->sent_at);
  put_text(row, C_URL, item->page[URL]);
  put_filled(row, C_PATH, item->page[PATH]);
  if (!item->page[PATH].size && item->page[URL].size)
    put_text(row, C_PATH, path_of(item->page[URL], "/"));
  put_text(row, C_TITLE, item->page[TITLE]);
  put_text(row, C_REFERRER, item->page[REFERRER]);
  put_text(row, C_PROPERTIES, item->properties);
  put_text(row, C_TRAITS, item->traits);
  put_text(row, C_CONTEXT, item->context);
  put_text(row, C_IP, arrival->ip);
  put_text(row, C_USER_AGENT, texts[AGENT].size ? texts[AGENT] : arrival->agent);
}

/* The row of one event in `*made`. */
static Verdict row_of(const PlainObject *self, const Item *item, const Arrival *arrival,
                      PyObject **made) {
  const DecoderObject *decoder = self->decoder;
  Verdict verdict = 1;
  PyObject *violations = NULL;
  bool bot = arrival->bot;
  Row row;
  if (arrival->scrub && ((verdict = stays_as_it_is(decoder, item->properties)) != 1 ||
                         (verdict = stays_as_it_is(decoder, item->context)) != 1))
    return verdict;
  if ((verdict = of_bot(decoder, item->texts[AGENT], &bot)) != 1 ||
      (verdict = judged(decoder, item, &violations)) != 1)
    return verdict;
  fill(&row, item, &self->call, arrival, decoder->skew_ms);
  if (bot) put_number(&row, C_BOT, 1);
  if (violations) {
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(violations, &length);
    if (!text) goto failed;
    put_text(&row, C_VIOLATIONS, (Span){(Place)text, (size_t)length, false});
  }
  int columns = width(&row);
  size_t size = content_size(&row, columns);
  RowObject *object = PyObject_New(RowObject, &collector_Row);
  if (!object) goto failed;
  object->site = Py_NewRef(arrival->site);
  object->received_at = Py_NewRef(arrival->received_at);
  object->identity = identity_of(arrival->site_text, item->texts[MESSAGE_ID]);
  object->data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head_size(size) + size));
  object->rare = rarity(&row);
  if (!object->identity || !object->data) {
    Py_XDECREF(object->identity);
    Py_XDECREF(object->data);
    Py_DECREF(object->site);
    Py_DECREF(object->received_at);
    PyObject_Free(object);
    goto failed;
  }
  write_row((uint8_t *)PyBytes_AS_STRING(object->data), &row, columns, size);
  Py_XDECREF(violations);
  *made = (PyObject *)object;
  return 1;
failed:
  Py_XDECREF(violations);
  return -1;
}

static PyObject *plain_rows(PlainObject *self, PyObject *const *args, Py_ssize_t count) {
  Arrival arrival;
  if (count != 6) {
    PyErr_SetString(PyExc_TypeError, "expected site, received_at, ip, user_agent, bot, scrub");
    return NULL;
  }
  arrival.site = args[0];
  arrival.received_at = args[1];
  arrival.at = PyLong_AsLongLong(args[1]);
  if ((arrival.at == -1 && PyErr_Occurred()) || !span_of(args[0], &arrival.site_text) ||
      !span_of(args[2], &arrival.ip) || !span_of(args[3], &arrival.agent))
    return NULL;
  arrival.bot = args[4] == Py_True;
  arrival.scrub = args[5] == Py_True;
  PyObject *rows = PyList_New(0);
  for (size_t i = 0; rows && i < self->call.count; i++) {
    PyObject *row = NULL;
    Verdict verdict = row_of(self, &self->call.items[i], &arrival, &row);
    if (verdict == 1 && PyList_Append(rows, row) == 0) {
      Py_DECREF(row);
      continue;
    }
    Py_XDECREF(row);
    Py_CLEAR(rows);
    if (verdict == 0) Py_RETURN_NONE;
  }
  return rows;
}

static PyMethodDef plain_methods[] = {
    {"rows", (PyCFunction)(void (*)(void))plain_rows, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};

PyTypeObject collector_Plain = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "collector._compiled.Plain",
    .tp_basicsize = sizeof(PlainObject),
    .tp_dealloc = (destructor)plain_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = plain_methods,
    .tp_getset = plain_getset,
};

/* ---- a batch ---- */

/* A row made of an event's values; the numbers among them lie in the row. */
static bool fill_from(Row *row, PyObject *values) {
  memset(row->fields, 0, sizeof row->fields);
  if (!PyTuple_Check(values) || PyTuple_GET_SIZE(values) != COLUMNS) {
    PyErr_SetString(PyExc_TypeError, "expected a tuple of an event's values");
    return false;
  }
  for (int i = 0; i < COLUMNS; i++) {
    PyObject *value = PyTuple_GET_ITEM(values, i);
    Span text;
    if (PyLong_Check(value)) {
      long long number = PyLong_AsLongLong(value);
      if (number == -1 && PyErr_Occurred()) return false;
      put_number(row, (enum column)i, number);
    } else if (span_of(value, &text)) {
      put_text(row, (enum column)i, text);
    } else {
      return false;
    }
  }
  return true;
}

static bool grow(uint8_t **buffer, size_t *room, size_t needed) {
  if (needed <= *room) return true;
  size_t larger = needed + needed / 2;
  uint8_t *moved = PyMem_Realloc(*buffer, larger);
  if (!moved) {
    PyErr_NoMemory();
    return false;
  }
  *buffer = moved;
  *room = larger;
  return true;
}

/* pack(events, astuple) -> (one array of all rows, what they ask of the statement) */
PyObject *collector_pack(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  if (count != 2 || !PyList_Check(args[0])) {
    PyErr_SetString(PyExc_TypeError, "expected a list of events and a function");
    return NULL;
  }
  PyObject *events = args[0], *made = NULL;
  uint8_t *buffer = NULL;
  size_t used = 5, room = 0; /* in front the array's own head, of the largest kind */
  int rare = PLAIN_ROW;
  if (!grow(&buffer, &room, 5 + 1024 * (size_t)PyList_GET_SIZE(events))) return NULL;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(events); i++) {
    PyObject *event = PyList_GET_ITEM(events, i);
    if (Py_IS_TYPE(event, &collector_Row)) {
      RowObject *row = (RowObject *)event;
      size_t size = (size_t)PyBytes_GET_SIZE(row->data);
      if (!grow(&buffer, &room, used + size)) goto done;
      memcpy(buffer + used, PyBytes_AS_STRING(row->data), size);
      used += size;
      if (row->rare > rare) rare = row->rare;
      continue;
    }
    Row row;
    PyObject *values = PyObject_CallOneArg(args[1], event);
    if (!values) goto done;
    if (fill_from(&row, values)) {
      int columns = width(&row);
      size_t content = content_size(&row, columns), size = head_size(content) + content;
      if (grow(&buffer, &room, used + size)) {
        write_row(buffer + used, &row, columns, content);
        used += size;
        if ((int)rarity(&row) > rare) rare = rarity(&row);
      }
    }
    Py_DECREF(values);
    if (PyErr_Occurred()) goto done;
  }
  buffer[0] = ARRAY | 14 << 4;
  for (int i = 0; i < 4; i++) buffer[1 + i] = (uint8_t)((used - 5) >> 8 * (3 - i));
  made = Py_BuildValue("(y#i)", buffer, (Py_ssize_t)used, rare);
done:
  PyMem_Free(buffer);
  return made;
}

PyObject *collector_columns(void) {
  PyObject *columns = PyTuple_New(COLUMNS);
  for (int i = 0; columns && i < COLUMNS; i++) {
    PyObject *name = PyUnicode_FromString(COLUMN_NAMES[i]);
    if (!name) Py_CLEAR(columns);
    if (columns) PyTuple_SET_ITEM(columns, i, name);
  }
  return columns;
}
