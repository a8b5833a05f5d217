/* The head of a request that aiohttp took before, told from another by its bytes: ingest/heads.py
   says what may differ and why, and does the same with a regular expression, in ten times the
   time. */
#include "compiled.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What stands between two literal pieces of a head; as heads.py numbers them. */
enum slot { SKIPPED, LENGTH, QUERY, FORWARDED, COOKIES, AGENT, REFERER, REQUEST_ID, SLOTS };

#define MOST_PARTS 24 /* lines that may differ, more than any client has */
#define MOST_DIGITS 7
#define LONGEST 4096 /* bytes of a head: far below what aiohttp takes */

typedef struct {
  const char *at;
  Py_ssize_t size;
} Span;

typedef struct {
  PyObject_HEAD
  PyObject *pieces; /* tuple of bytes, one more than slots */
  int count;
  enum slot slots[MOST_PARTS];
} Head;

static bool is_visible(char byte) { return byte >= ' ' && byte <= '~'; }

/* The value in a slot, from `*at` on; false where there is none that may stand there. */
static bool read_value(enum slot slot, const char **at, const char *end, Span *value) {
  const char *begin = *at, *stop = begin;
  if (slot == QUERY) {
    *value = (Span){"", 0};
    if (begin == end || *begin != '?') return true;
    begin = ++stop;
    while (stop < end && *stop > ' ' && *stop <= '~' && *stop != '#') stop++;
  } else if (slot == LENGTH) {
    while (stop < end && *stop >= '0' && *stop <= '9' && stop - begin < MOST_DIGITS) stop++;
    if (stop == begin) return false;
  } else {
    while (stop < end && is_visible(*stop)) stop++;
  }
  *at = stop;
  *value = (Span){begin, stop - begin};
  return true;
}

static Span stripped(Span value) {
  while (value.size && *value.at == ' ') value.at++, value.size--;
  while (value.size && value.at[value.size - 1] == ' ') value.size--;
  return value;
}

static Py_ssize_t number_in(Span digits) {
  Py_ssize_t number = 0;
  for (Py_ssize_t i = 0; i < digits.size; i++) number = number * 10 + digits.at[i] - '0';
  return number;
}

/* The values of one kind as one text: several lines of a header are one list. */
static PyObject *text_of(const Head *self, const Span *values, enum slot wanted) {
  const char *between = wanted == FORWARDED ? "," : "; ";
  Py_ssize_t gap = (Py_ssize_t)strlen(between), size = -gap;
  bool listed = wanted == FORWARDED || wanted == COOKIES;
  int found = 0;
  for (int i = 0; i < self->count && (listed || !found); i++)
    if (self->slots[i] == wanted) size += values[i].size + gap, found++;
  if (!found) return Py_NewRef(Py_None);
  PyObject *text = PyUnicode_New(size, 127);
  if (!text) return NULL;
  char *to = (char *)PyUnicode_1BYTE_DATA(text);
  bool first = true;
  for (int i = 0; i < self->count && found; i++) {
    if (self->slots[i] != wanted) continue;
    if (!first) memcpy(to, between, (size_t)gap), to += gap;
    first = false;
    memcpy(to, values[i].at, (size_t)values[i].size);
    to += values[i].size;
    found--;
  }
  return text;
}

/* match(data) -> (body, query, forwarded, cookies, agent, referer, request_id), or None. */
static PyObject *match(Head *self, PyObject *data) {
  char *at, *begin, *end;
  Py_ssize_t size, length = 0;
  Span values[MOST_PARTS];
  if (PyBytes_AsStringAndSize(data, &at, &size) < 0) return NULL;
  begin = at;
  end = at + size;
  for (int i = 0;; i++) {
    PyObject *piece = PyTuple_GET_ITEM(self->pieces, i);
    Py_ssize_t literal = PyBytes_GET_SIZE(piece);
    if (end - at < literal || memcmp(at, PyBytes_AS_STRING(piece), (size_t)literal))
      Py_RETURN_NONE;
    at += literal;
    if (i == self->count) break;
    if (!read_value(self->slots[i], (const char **)&at, end, &values[i])) Py_RETURN_NONE;
    if (self->slots[i] == LENGTH) length = number_in(values[i]);
    else if (self->slots[i] != QUERY) values[i] = stripped(values[i]);
  }
  if (end - at != length || at - begin > LONGEST) Py_RETURN_NONE;
  PyObject *found = PyTuple_New(SLOTS - 1);
  if (!found) return NULL;
  for (int slot = QUERY; slot < SLOTS; slot++) {
    PyObject *text = text_of(self, values, (enum slot)slot);
    if (!text) goto failed;
    PyTuple_SET_ITEM(found, slot - 1, text);
  }
  PyObject *body = PyBytes_FromStringAndSize(at, length);
  if (!body) goto failed;
  PyTuple_SET_ITEM(found, 0, body);
  return found;
failed:
  Py_DECREF(found);
  return NULL;
}

static void head_dealloc(Head *self) {
  Py_XDECREF(self->pieces);
  PyObject_Free(self);
}

/* Head(pieces, slots): what lies around the slots, and what they are. */
static PyObject *head_new(PyTypeObject *type, PyObject *args, PyObject *names) {
  static char *keywords[] = {"pieces", "slots", NULL};
  PyObject *pieces, *slots;
  if (!PyArg_ParseTupleAndKeywords(args, names, "O!O!", keywords, &PyTuple_Type, &pieces,
                                   &PyTuple_Type, &slots))
    return NULL;
  Py_ssize_t count = PyTuple_GET_SIZE(slots);
  bool sound = count <= MOST_PARTS && PyTuple_GET_SIZE(pieces) == count + 1;
  for (Py_ssize_t i = 0; sound && i <= count; i++) sound = PyBytes_Check(PyTuple_GET_ITEM(pieces, i));
  Head *self = sound ? PyObject_New(Head, type) : NULL;
  if (!sound) PyErr_SetString(PyExc_ValueError, "expected pieces of a head and what they part");
  if (!self) return NULL;
  self->pieces = Py_NewRef(pieces);
  self->count = (int)count;
  for (int i = 0; i < self->count; i++) {
    long slot = PyLong_AsLong(PyTuple_GET_ITEM(slots, i));
    if (slot < SKIPPED || slot >= SLOTS) {
      if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "no such slot");
      Py_DECREF(self);
      return NULL;
    }
    self->slots[i] = (enum slot)slot;
  }
  return (PyObject *)self;
}

static PyMethodDef methods[] = {{"match", (PyCFunction)match, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};

PyTypeObject collector_Head = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "collector._compiled.Head",
    .tp_basicsize = sizeof(Head),
    .tp_dealloc = (destructor)head_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = head_new,
    .tp_methods = methods,
};
