/* The deduplication window's table: store/window.py says what it promises, and is the same in
   Python. Each entry takes 8 bytes: 4 of its hash and the lower 4 of its seq, in one of many small
   blocks, first all hashes and then all seqs. Of a full window of 4,000,000 ids hardly anything is
   in a cache, so the keys of a batch ask for their lines before they are looked at. */
#include "compiled.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  uint32_t *hashes; /* `room` of them, and behind them `room` seqs */
  uint32_t count, room;
} Bucket;

typedef struct {
  PyObject_HEAD
  Bucket *buckets;
  uint64_t mask;
  uint32_t capacity, trim_at;
} Table;

#define FIRST_ROOM 4

static inline uint32_t *seqs_of(const Bucket *bucket) { return bucket->hashes + bucket->room; }

static inline Bucket *bucket_of(const Table *self, uint64_t key) {
  return &self->buckets[key & self->mask];
}

static inline uint32_t hash_of(uint64_t key) { return (uint32_t)(key >> 32); }

static bool holds(const Bucket *bucket, uint32_t hash) {
  for (uint32_t i = 0; i < bucket->count; i++)
    if (bucket->hashes[i] == hash) return true;
  return false;
}

/* Drop what is older than the window, `newest` being committed: were it a seq of the batch under
   way, a rollback would have pushed out what still counts. */
static void trim(const Table *self, Bucket *bucket, uint64_t newest) {
  uint32_t *seqs = seqs_of(bucket), gone = 0;
  while (gone < bucket->count) {
    uint32_t age = (uint32_t)newest - seqs[gone];
    if (age < self->capacity || age >> 31) break; /* or of the batch under way */
    gone++;
  }
  bucket->count -= gone;
  memmove(bucket->hashes, bucket->hashes + gone, bucket->count * sizeof *seqs);
  memmove(seqs, seqs + gone, bucket->count * sizeof *seqs);
}

static bool grow(const Table *self, Bucket *bucket) {
  uint32_t most = self->trim_at + 1, room = bucket->room ? 2 * bucket->room : FIRST_ROOM;
  if (bucket->room < most && room > most) room = most;
  uint32_t *moved = PyMem_RawMalloc(2 * (size_t)room * sizeof *moved);
  if (!moved) return false;
  if (bucket->count) {
    memcpy(moved, bucket->hashes, bucket->count * sizeof *moved);
    memcpy(moved + room, seqs_of(bucket), bucket->count * sizeof *moved);
  }
  PyMem_RawFree(bucket->hashes);
  bucket->hashes = moved;
  bucket->room = room;
  return true;
}

static bool push(const Table *self, Bucket *bucket, uint32_t hash, uint64_t seq, uint64_t newest) {
  if (bucket->count == bucket->room && !grow(self, bucket)) return false;
  bucket->hashes[bucket->count] = hash;
  seqs_of(bucket)[bucket->count++] = (uint32_t)seq;
  if (bucket->count > self->trim_at) trim(self, bucket, newest);
  return true;
}

static void take_back(const Table *self, const uint64_t *keys, size_t count, uint64_t first_seq) {
  while (count--) {
    Bucket *bucket = bucket_of(self, keys[count]);
    if (bucket->count && seqs_of(bucket)[bucket->count - 1] == (uint32_t)(first_seq + count))
      bucket->count--;
  }
}

/* Have the memory of all keys come at once. */
static void fetch(const Table *self, const uint64_t *keys, size_t count) {
  for (size_t i = 0; i < count; i++) __builtin_prefetch(bucket_of(self, keys[i]));
  for (size_t i = 0; i < count; i++) {
    const Bucket *bucket = bucket_of(self, keys[i]);
    if (!bucket->hashes) continue;
    __builtin_prefetch(bucket->hashes);
    __builtin_prefetch(bucket->hashes + 16);
    __builtin_prefetch(seqs_of(bucket) + bucket->count);
  }
}

/* The numbers of a sequence; NULL with an error set. */
static uint64_t *numbers_of(PyObject *given, size_t *count) {
  PyObject *list = PySequence_Fast(given, "expected keys");
  if (!list) return NULL;
  *count = (size_t)PySequence_Fast_GET_SIZE(list);
  uint64_t *numbers = PyMem_Malloc((*count + 1) * sizeof *numbers);
  if (!numbers) PyErr_NoMemory();
  for (size_t i = 0; numbers && i < *count; i++) {
    numbers[i] = PyLong_AsUnsignedLongLong(PySequence_Fast_GET_ITEM(list, (Py_ssize_t)i));
    if (numbers[i] == UINT64_MAX && PyErr_Occurred()) {
      PyMem_Free(numbers);
      numbers = NULL;
    }
  }
  Py_DECREF(list);
  return numbers;
}

/* (keys, seq) of a call. */
static uint64_t *arguments(PyObject *const *args, Py_ssize_t given, size_t *count, uint64_t *seq) {
  if (given != 2) {
    PyErr_SetString(PyExc_TypeError, "expected keys and a seq");
    return NULL;
  }
  *seq = PyLong_AsUnsignedLongLong(args[1]);
  return PyErr_Occurred() ? NULL : numbers_of(args[0], count);
}

static PyObject *table_add(Table *self, PyObject *const *args, Py_ssize_t given) {
  size_t count;
  uint64_t first, *keys = arguments(args, given, &count, &first);
  if (!keys) return NULL;
  bool room = true;
  for (size_t i = 0; room && i < count; i++)
    room = push(self, bucket_of(self, keys[i]), hash_of(keys[i]), first + i, first - 1);
  PyMem_Free(keys);
  if (!room) return PyErr_NoMemory();
  Py_RETURN_NONE;
}

static PyObject *table_add_unseen(Table *self, PyObject *const *args, Py_ssize_t given) {
  size_t count, i;
  uint64_t first, *keys = arguments(args, given, &count, &first);
  if (!keys) return NULL;
  bool room = true;
  fetch(self, keys, count);
  for (i = 0; i < count; i++) {
    Bucket *bucket = bucket_of(self, keys[i]);
    if (holds(bucket, hash_of(keys[i]))) break;
    room = push(self, bucket, hash_of(keys[i]), first + i, first - 1);
    if (!room) break;
  }
  if (i < count) take_back(self, keys, i, first);
  PyMem_Free(keys);
  return room ? PyBool_FromLong(i == count) : PyErr_NoMemory();
}

static PyObject *table_remove(Table *self, PyObject *const *args, Py_ssize_t given) {
  size_t count;
  uint64_t first, *keys = arguments(args, given, &count, &first);
  if (!keys) return NULL;
  take_back(self, keys, count, first);
  PyMem_Free(keys);
  Py_RETURN_NONE;
}

static PyObject *table_candidates(Table *self, PyObject *const *args, Py_ssize_t given) {
  size_t count;
  uint64_t newest, *keys = arguments(args, given, &count, &newest);
  PyObject *found = keys ? PyList_New(0) : NULL;
  for (size_t i = 0; found && i < count; i++) {
    const Bucket *bucket = bucket_of(self, keys[i]);
    for (uint32_t j = 0; found && j < bucket->count; j++) {
      if (bucket->hashes[j] != hash_of(keys[i])) continue;
      uint32_t age = (uint32_t)newest - seqs_of(bucket)[j];
      PyObject *seq = PyLong_FromUnsignedLongLong(newest - age);
      if (!seq || PyList_Append(found, seq) < 0) Py_CLEAR(found);
      Py_XDECREF(seq);
    }
  }
  PyMem_Free(keys);
  return found;
}

static PyObject *table_sizeof(Table *self, PyObject *unused) {
  (void)unused;
  size_t size = sizeof *self + (self->mask + 1) * sizeof *self->buckets;
  for (uint64_t i = 0; i <= self->mask; i++) size += 8 * (size_t)self->buckets[i].room;
  return PyLong_FromSize_t(size);
}

static void table_dealloc(Table *self) {
  for (uint64_t i = 0; self->buckets && i <= self->mask; i++)
    PyMem_RawFree(self->buckets[i].hashes);
  PyMem_RawFree(self->buckets);
  PyObject_Free(self);
}

static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *names) {
  static char *keywords[] = {"capacity", "bits", "trim_at", NULL};
  unsigned int capacity, trim_at;
  int bits;
  if (!PyArg_ParseTupleAndKeywords(args, names, "IiI", keywords, &capacity, &bits, &trim_at))
    return NULL;
  Table *self = PyObject_New(Table, type);
  if (!self) return NULL;
  self->capacity = capacity;
  self->trim_at = trim_at;
  self->mask = (UINT64_C(1) << bits) - 1;
  self->buckets = PyMem_RawCalloc((size_t)1 << bits, sizeof *self->buckets);
  if (self->buckets) return (PyObject *)self;
  Py_DECREF(self);
  return PyErr_NoMemory();
}

#define METHOD(name) \
  { #name, (PyCFunction)(void (*)(void))table_##name, METH_FASTCALL, NULL }

static PyMethodDef methods[] = {METHOD(add), METHOD(add_unseen), METHOD(remove),
                                METHOD(candidates),
                                {"__sizeof__", (PyCFunction)table_sizeof, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

PyTypeObject collector_Table = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "collector._compiled.Table",
    .tp_basicsize = sizeof(Table),
    .tp_dealloc = (destructor)table_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = table_new,
    .tp_methods = methods,
};
