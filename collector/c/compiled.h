/* What the module collector._compiled is made of. */
#ifndef COLLECTOR_COMPILED_H
#define COLLECTOR_COMPILED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* rows.c */
extern PyTypeObject collector_Row, collector_Decoder, collector_Plain;
PyObject *collector_columns(void);
PyObject *collector_pack(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* head.c */
extern PyTypeObject collector_Head;

/* table.c */
extern PyTypeObject collector_Table;

/* inserts.c */
extern PyTypeObject collector_Inserts;

#endif
