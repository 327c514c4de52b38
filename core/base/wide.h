/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of 128 bits, for products of amounts and times. Pure. */
#ifndef CHRONOS_BASE_WIDE_H
#define CHRONOS_BASE_WIDE_H

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 uwide;

#endif
