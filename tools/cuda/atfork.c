/* SPDX-License-Identifier: Apache-2.0 */
/* pthread_atfork for this library alone. The GNU C library keeps its own in a part that is linked
 * into each library, and that needs a function which other C libraries lack: with them this library
 * would not load, and a program that it is preloaded into would not start. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

typedef void handler(void);

extern int __register_atfork(handler *prepare, handler *parent, handler *child, void *library)
    __attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

int pthread_atfork(handler *prepare, handler *parent, handler *child)
{
    return __register_atfork ? __register_atfork(prepare, parent, child, __dso_handle) : ENOSYS;
}
