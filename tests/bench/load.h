/* SPDX-License-Identifier: Apache-2.0 */
/* The processor time of a daemon that gets requests at a constant rate. */
#ifndef CHRONOS_BENCH_LOAD_H
#define CHRONOS_BENCH_LOAD_H

#include "rows.h"

#define LOAD_RATES 4
extern const int load_rates[LOAD_RATES]; /* requests a second */

/* Gives the processor's time that a subject's daemons used at each rate, as per cent of one core.
 */
void load_measure(struct bench *bench, int subject, double ret_percent[LOAD_RATES]);

#endif
