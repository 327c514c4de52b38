/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of a newer driver: one allocates, the others have names that only sound like it. */
#define API __attribute__((visibility("default")))

API int cuMemAllocTomorrow(void **pointer);
API int cuMemAllocTomorrow(void **pointer)
{
    *pointer = (void *)0;
    return 801;
}

API int cuEventCreateTomorrow(void **event);
API int cuEventCreateTomorrow(void **event)
{
    *event = (void *)0;
    return 801;
}
