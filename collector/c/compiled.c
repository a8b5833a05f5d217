/* The module collector._compiled; collector/_compiled.pyi describes it. */
#include "compiled.h"

static PyMethodDef functions[] = {
    {"pack", (PyCFunction)(void (*)(void))collector_pack, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_compiled", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__compiled(void) {
  PyTypeObject *types[] = {&collector_Row, &collector_Decoder, &collector_Plain, &collector_Head,
                           &collector_Table, &collector_Inserts};
  PyObject *module = PyModule_Create(&definition), *columns = collector_columns();
  if (!module || !columns || PyModule_AddObjectRef(module, "COLUMNS", columns) < 0) return NULL;
  Py_DECREF(columns);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (PyModule_AddType(module, types[i]) < 0) return NULL;
  return module;
}
