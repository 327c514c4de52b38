/* SPDX-License-Identifier: Apache-2.0 */
/* The cards of /sys/class/drm. Implements `probe` of struct gpu_vendor for drm.c. */
#ifndef CHRONOS_GPU_DRM_CARDS_H
#define CHRONOS_GPU_DRM_CARDS_H

#include "vendor.h"

struct drm_card {
    int directory;    /* /sys/class/drm */
    const char *name; /* "card0" */
    char pci[32];     /* "0000:03:00.0"; "" if it is no PCI device */
    char driver[32];  /* "amdgpu"; "" if unknown */
};
typedef void drm_card_fn(void *context, const struct drm_card *card);

/* Pass each card to `fn`, in the order of their names. */
void drm_cards(const char *sys, drm_card_fn *fn, void *context);
/* Read a file of the card, "device/vendor", with a number: decimal, or hexadecimal after 0x. Return
 * 0 or -errno; -EINVAL if it is no number, or is above INT64_MAX. */
int drm_card_number(const struct drm_card *card, const char *file, uint64_t *ret_number);
/* True if the driver is one that counts the memory of each process: a GPU for programs, not just a
 * display. */
bool drm_card_counts(const struct drm_card *card);

int drm_cards_probe(const struct gpu_setup *setup, struct gpu_list *list);

#endif
