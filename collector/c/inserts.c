/* Batches of events to the database without the interpreter lock; store/inserts.py is its other
   half. The writing thread waits in `serve`, executes what `put` has left there, and says so by a
   byte in a pipe: while the loop is busy, each of its waits for the lock took 5 ms, three of them a
   transaction.

   SQLite is the one that Python's module has within itself. A loadable extension is handed that
   one's functions, and this library is one: loading it (`sqlite3_extension_init`) is how the
   functions and the connection come here. */
#include "compiled.h"
#include "structmember.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, PASSIVE = 0, BUSY = 5, NOMEM = 7, MISMATCH = 20, DONE = 101, PERSISTENT = 1 };
#include "packed.h"

typedef struct sqlite3_stmt sqlite3_stmt;
/* Further places in sqlite3_api_routines. */
enum {
  BIND_INT64 = 5,
  BIND_TEXT = 10,
  ERRMSG = 53,
  EXEC = 55,
  FINALIZE = 57,
  GET_AUTOCOMMIT = 60,
  RESET = 77,
  STEP = 94,
  CLEAR_BINDINGS = 118,
  EXTENDED_ERRCODE = 166,
  WAL_HOOK = 175,
  WAL_CHECKPOINT_V2 = 191,
  PREPARE_V3 = 217
};
#define MOST_STATEMENTS 4
#define IDLE_S 1
#define FAST_NS 1000000 /* a sync; a slower one is waited for by another thread */

static _Thread_local struct {
  sqlite3 *db;
  const Function *api;
} loaded;

__attribute__((visibility("default"))) int sqlite3_extension_init(sqlite3 *db, char **error,
                                                                  const Function *api) {
  (void)error;
  loaded.db = db;
  loaded.api = api;
  return OK;
}

typedef struct {
  PyObject_HEAD
  sqlite3 *db;
  const Function *api;
  Batch batch; /* of `events` */
  sqlite3_stmt *statements[MOST_STATEMENTS];
  int told;
  int pages, limit; /* in the write-ahead log, and at how many it is folded back here */
  atomic_bool finish;
  bool hooked, inserting;
  pthread_mutex_t mutex; /* what follows is both threads' */
  pthread_cond_t changed;
  bool serving, leave, waiting, done;
  uint64_t inserted, synced; /* batches */
  int64_t last_seq;          /* of those inserted */
  int wal, mark, sync_error; /* the write-ahead log's file, -1: nothing is synced; errno */
  int64_t sync_ns;           /* the last one took */
  bool syncs, ending;        /* whether there is such a thread, and is to end */
  pthread_t syncer;
  pthread_cond_t to_sync;
  PyObject *events, *node_id; /* bytes; given back with the interpreter lock held */
  Py_ssize_t which;
  int64_t first_seq, count;
  int code;
  char message[256];
} Inserts;

/* Another connection folds the write-ahead log back (store/folding.py). What is left for this one
   is the rest, without which the log cannot begin anew. */
static void finish_folding(Inserts *self) {
  if (self->pages >= self->limit || atomic_exchange(&self->finish, false))
    CALL(self->api, WAL_CHECKPOINT_V2, int, sqlite3 *, const char *, int, int *, int *)
    (self->db, "main", PASSIVE, NULL, NULL);
}

/* After each commit of this connection. In SQLite's own hook all is folded back here and now, with
   two syncs. Of a batch the outcome is told and the sync is under way before even the rest is. */
static int committed(void *given, sqlite3 *db, const char *name, int pages) {
  Inserts *self = given;
  (void)db;
  (void)name;
  self->pages = pages;
  if (!self->inserting) finish_folding(self);
  return OK;
}

static void hook(Inserts *self, int (*called)(void *, sqlite3 *, const char *, int)) {
  CALL(self->api, WAL_HOOK, void *, sqlite3 *, int (*)(void *, sqlite3 *, const char *, int), void *)
  (self->db, called, self);
}

static void fail(Inserts *self, int code, const char *message) {
  self->code = code;
  snprintf(self->message, sizeof self->message, "%s", message);
}

static bool bind(const Inserts *self, sqlite3_stmt *statement) {
  const Function *api = self->api;
  return !CALL(api, BIND_INT64, int, sqlite3_stmt *, int, int64_t)(statement, 2,
                                                                   self->first_seq) &&
         !CALL(api, BIND_TEXT, int, sqlite3_stmt *, int, const char *, int, void *)(
             statement, 3, PyBytes_AS_STRING(self->node_id),
             (int)PyBytes_GET_SIZE(self->node_id), NULL);
}

/* One batch, one statement, which is a transaction by itself. */
static void execute(Inserts *self) {
  const Function *api = self->api;
  sqlite3_stmt *statement = self->statements[self->which];
  fail(self, OK, "");
  if (!CALL(api, GET_AUTOCOMMIT, int, sqlite3 *)(self->db)) {
    fail(self, BUSY, "a transaction was left open");
    return;
  }
  self->batch.at = (const uint8_t *)PyBytes_AS_STRING(self->events);
  self->batch.size = (size_t)PyBytes_GET_SIZE(self->events);
  if (!bind(self, statement) || CALL(api, STEP, int, sqlite3_stmt *)(statement) != DONE)
    fail(self, CALL(api, EXTENDED_ERRCODE, int, sqlite3 *)(self->db),
         CALL(api, ERRMSG, const char *, sqlite3 *)(self->db));
  CALL(api, RESET, int, sqlite3_stmt *)(statement);
  CALL(api, CLEAR_BINDINGS, int, sqlite3_stmt *)(statement);
  self->batch.at = NULL;
}

static void tell(const Inserts *self) {
  if (write(self->told, "", 1) < 0) return; /* full of bytes that nobody has read: told */
}

/* Have what is inserted on disk; the mutex is held, and let go meanwhile. */
static void sync_now(Inserts *self) {
  uint64_t inserted = self->inserted;
  int64_t last_seq = self->last_seq;
  int mark = self->mark, error = 0;
  struct timespec began, ended;
  pthread_mutex_unlock(&self->mutex);
  if (self->wal >= 0) {
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (fdatasync(self->wal)) error = errno;
    clock_gettime(CLOCK_MONOTONIC, &ended);
  }
  if (!error) {
    /* They are on disk whatever becomes of the mark, which then only says less. */
    char seq[24];
    snprintf(seq, sizeof seq, "%020lld\n", (long long)last_seq);
    if (pwrite(mark, seq, strlen(seq), 0) < 0) error = 0;
  }
  pthread_mutex_lock(&self->mutex);
  if (self->wal >= 0)
    self->sync_ns =
        (ended.tv_sec - began.tv_sec) * INT64_C(1000000000) + ended.tv_nsec - began.tv_nsec;
  /* The system tells of a failure once: what comes after it has said nothing of those before. */
  if (error) self->sync_error = error;
  if (!self->sync_error && self->synced < inserted) self->synced = inserted;
}

static void *sync_loop(void *given) {
  Inserts *self = given;
  pthread_mutex_lock(&self->mutex);
  while (!self->ending) {
    if (self->sync_error || self->synced == self->inserted) {
      pthread_cond_wait(&self->to_sync, &self->mutex);
      continue;
    }
    sync_now(self);
    tell(self);
  }
  pthread_mutex_unlock(&self->mutex);
  return NULL;
}

/* An insert has been done; the mutex is held. While syncs are fast the thread does them itself. */
static void sync_it(Inserts *self) {
  bool all = self->synced == self->inserted;
  self->inserted++;
  self->last_seq = self->first_seq + self->count - 1;
  if (self->sync_error) return;
  if (all && (self->sync_ns < FAST_NS || self->wal < 0)) {
    sync_now(self);
    return;
  }
  if (!self->syncs) self->syncs = !pthread_create(&self->syncer, NULL, sync_loop, self);
  if (self->syncs)
    pthread_cond_signal(&self->to_sync);
  else
    sync_now(self);
}

/* What this connection commits within `serve` is synced apart, else by SQLite at each commit. */
static bool synchronous(Inserts *self, const char *level) {
  return self->wal < 0 ||
         !CALL(self->api, EXEC, int, sqlite3 *, const char *, void *, void *, char **)(
             self->db, level, NULL, NULL, NULL);
}

/* Leave, unless there is something to insert; the mutex is held, and let go meanwhile. */
static bool leave(Inserts *self) {
  pthread_mutex_unlock(&self->mutex);
  bool full = synchronous(self, "PRAGMA synchronous = FULL");
  pthread_mutex_lock(&self->mutex);
  if (!full) self->sync_error = EIO; /* what is committed now would not be synced */
  if (self->waiting) return false;
  self->serving = self->leave = false;
  return true;
}

static void serve(Inserts *self) {
  struct timespec until;
  synchronous(self, "PRAGMA synchronous = NORMAL");
  pthread_mutex_lock(&self->mutex);
  for (;;) {
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_S;
    int waited = 0;
    while (!self->waiting && !self->leave && !waited)
      waited = pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    if (!self->waiting) {
      if (leave(self)) break;
      pthread_mutex_unlock(&self->mutex);
      synchronous(self, "PRAGMA synchronous = NORMAL");
      pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    self->inserting = true;
    execute(self);
    self->inserting = false;
    pthread_mutex_lock(&self->mutex);
    if (self->code == OK) sync_it(self);
    self->waiting = false;
    self->done = true;
    tell(self);
    pthread_mutex_unlock(&self->mutex);
    finish_folding(self);
    pthread_mutex_lock(&self->mutex);
  }
  pthread_mutex_unlock(&self->mutex);
}

static PyObject *inserts_serve(Inserts *self, PyObject *unused) {
  (void)unused;
  Py_BEGIN_ALLOW_THREADS;
  serve(self);
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

static PyObject *inserts_put(Inserts *self, PyObject *args) {
  PyObject *events, *node_id;
  Py_ssize_t which;
  long long first_seq, count;
  int mark;
  if (!PyArg_ParseTuple(args, "nSLLSi", &which, &events, &first_seq, &count, &node_id, &mark))
    return NULL;
  if (which < 0 || which >= MOST_STATEMENTS || !self->statements[which] || self->events) {
    PyErr_SetString(PyExc_RuntimeError, "no such statement, or a batch is under way");
    return NULL;
  }
  pthread_mutex_lock(&self->mutex);
  bool served = self->serving;
  self->serving = self->waiting = true;
  self->events = Py_NewRef(events);
  self->node_id = Py_NewRef(node_id);
  self->which = which;
  self->first_seq = first_seq;
  self->count = count;
  self->mark = mark;
  pthread_cond_signal(&self->changed);
  pthread_mutex_unlock(&self->mutex);
  return PyBool_FromLong(!served);
}

static PyObject *inserts_leave(Inserts *self, PyObject *unused) {
  (void)unused;
  pthread_mutex_lock(&self->mutex);
  self->leave = self->serving;
  pthread_cond_signal(&self->changed);
  pthread_mutex_unlock(&self->mutex);
  Py_RETURN_NONE;
}

static PyObject *inserts_outcome(Inserts *self, PyObject *unused) {
  (void)unused;
  pthread_mutex_lock(&self->mutex);
  bool done = self->done;
  self->done = false;
  pthread_mutex_unlock(&self->mutex);
  if (!done) Py_RETURN_NONE;
  Py_CLEAR(self->events);
  Py_CLEAR(self->node_id);
  return Py_BuildValue("iN", self->code,
                       PyUnicode_DecodeUTF8(self->message, (Py_ssize_t)strlen(self->message),
                                            "replace"));
}

static PyObject *inserts_finish(Inserts *self, PyObject *unused) {
  (void)unused;
  atomic_store(&self->finish, true);
  Py_RETURN_NONE;
}

static PyObject *inserts_synced(Inserts *self, PyObject *unused) {
  (void)unused;
  pthread_mutex_lock(&self->mutex);
  unsigned long long inserted = self->inserted, synced = self->synced;
  int error = self->sync_error;
  pthread_mutex_unlock(&self->mutex);
  return Py_BuildValue("KKi", inserted, synced, error);
}

static PyObject *inserts_recovered(Inserts *self, PyObject *unused) {
  (void)unused;
  pthread_mutex_lock(&self->mutex);
  self->synced = self->inserted;
  self->sync_error = 0;
  pthread_mutex_unlock(&self->mutex);
  Py_RETURN_NONE;
}

static void end_syncer(Inserts *self) {
  pthread_mutex_lock(&self->mutex);
  self->ending = true;
  pthread_cond_signal(&self->to_sync);
  pthread_mutex_unlock(&self->mutex);
  if (self->syncs) pthread_join(self->syncer, NULL);
  self->syncs = false;
}

static PyObject *inserts_close(Inserts *self, PyObject *unused) {
  (void)unused;
  Py_BEGIN_ALLOW_THREADS;
  end_syncer(self);
  Py_END_ALLOW_THREADS;
  if (self->hooked) hook(self, NULL);
  self->hooked = false;
  for (size_t i = 0; i < MOST_STATEMENTS; i++) {
    if (self->statements[i]) CALL(self->api, FINALIZE, int, sqlite3_stmt *)(self->statements[i]);
    self->statements[i] = NULL;
  }
  if (self->batch.api) offer(self->api, self->db, NULL);
  self->batch.api = NULL;
  Py_RETURN_NONE;
}

static void inserts_dealloc(Inserts *self) {
  Py_XDECREF(inserts_close(self, NULL));
  Py_XDECREF(self->events);
  Py_XDECREF(self->node_id);
  pthread_cond_destroy(&self->changed);
  pthread_cond_destroy(&self->to_sync);
  pthread_mutex_destroy(&self->mutex);
  PyObject_Free(self);
}

static bool prepare(Inserts *self, PyObject *texts) {
  self->batch.api = self->api;
  if (offer(self->api, self->db, &self->batch)) {
    PyErr_SetString(PyExc_RuntimeError, "SQLite takes no tables of ours");
    return false;
  }
  Py_ssize_t count = PyTuple_GET_SIZE(texts);
  for (Py_ssize_t i = 0; i < count && i < MOST_STATEMENTS; i++) {
    const char *text = PyUnicode_AsUTF8(PyTuple_GET_ITEM(texts, i));
    if (!text) return false;
    if (CALL(self->api, PREPARE_V3, int, sqlite3 *, const char *, int, unsigned, sqlite3_stmt **,
             const char **)(self->db, text, -1, PERSISTENT, &self->statements[i], NULL)) {
      PyErr_SetString(PyExc_RuntimeError,
                      CALL(self->api, ERRMSG, const char *, sqlite3 *)(self->db));
      return false;
    }
  }
  return true;
}

static PyObject *inserts_new(PyTypeObject *type, PyObject *args, PyObject *names) {
  static char *keywords[] = {"statements", "told", "limit", "wal", NULL};
  PyObject *statements;
  int told, limit, wal;
  if (!PyArg_ParseTupleAndKeywords(args, names, "O!iii", keywords, &PyTuple_Type, &statements,
                                   &told, &limit, &wal))
    return NULL;
  if (!loaded.db) {
    PyErr_SetString(PyExc_RuntimeError, "not loaded by a connection of this thread");
    return NULL;
  }
  Inserts *self = (Inserts *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  self->db = loaded.db;
  self->api = loaded.api;
  loaded.db = NULL;
  self->told = told;
  self->limit = limit;
  self->wal = wal;
  pthread_cond_init(&self->changed, NULL);
  pthread_cond_init(&self->to_sync, NULL);
  pthread_mutex_init(&self->mutex, NULL);
  if (!prepare(self, statements)) {
    Py_DECREF(self);
    return NULL;
  }
  hook(self, committed);
  self->hooked = true;
  return (PyObject *)self;
}

#define METHOD(name, how) \
  { #name, (PyCFunction)inserts_##name, how, NULL }

static PyMethodDef methods[] = {METHOD(put, METH_VARARGS),  METHOD(serve, METH_NOARGS),
                                METHOD(leave, METH_NOARGS), METHOD(outcome, METH_NOARGS),
                                METHOD(finish, METH_NOARGS), METHOD(synced, METH_NOARGS),
                                METHOD(recovered, METH_NOARGS), METHOD(close, METH_NOARGS),
                                {NULL, NULL, 0, NULL}};

static PyMemberDef members[] = {{"pages", T_INT, offsetof(Inserts, pages), READONLY, NULL},
                                {NULL, 0, 0, 0, NULL}};

PyTypeObject collector_Inserts = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "collector._compiled.Inserts",
    .tp_basicsize = sizeof(Inserts),
    .tp_dealloc = (destructor)inserts_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = inserts_new,
    .tp_methods = methods,
    .tp_members = members,
};
