/* SPDX-License-Identifier: Apache-2.0 */
/* The id of the present boot of the host. */
#ifndef CHRONOS_BASE_BOOT_ID_H
#define CHRONOS_BASE_BOOT_ID_H

#define BOOT_ID_MAX 40 /* 36 characters and NUL, rounded up */

/* 0, or -errno with an empty text. */
int boot_id_read(char ret_id[static BOOT_ID_MAX]);

#endif
