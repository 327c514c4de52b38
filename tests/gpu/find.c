/* SPDX-License-Identifier: Apache-2.0 */
/* Vendors that see the same devices, or processors, or nothing: the devices that the daemon
 * offers. */
#include "one_line.h"

#include "core/gpu/driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gpu_list list;
static char program[4096];

/* -- vendors ------------------------------------------------------------------------- */

static void add(struct gpu_list *l, const char *key, const char *uuid, const char *pci)
{
    struct gpu_device *d = &l->device[l->count++];
    d->memory_bytes = 1;
    snprintf(d->key, sizeof(d->key), "%s", key);
    snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
    snprintf(d->pci, sizeof(d->pci), "%s", pci);
    snprintf(d->type, sizeof(d->type), "%s", strncmp(key, "cpu", 3) ? "GPU" : "CPU");
}

static int see_two(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    add(l, "one", "GPU-AB-CD", "");
    add(l, "two", "", "0000:03:00.0");
    return 0;
}

static int see_them_again(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    l->layered = 1;
    add(l, "three", "abcd", "");
    add(l, "four", "", "00000000:03:00.0");
    add(l, "two", "", "");
    add(l, "five", "", "0000:04:00.0");
    add(l, "six", "", "0000:04:00.0"); /* of one vendor, so another device */
    return 0;
}

static int see_processor(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    add(l, "cpu", "", "");
    strcpy(l->note, "there is nothing but the processor");
    return 0;
}

static int see_all(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    for (char key[16] = "k00"; l->count < GPU_DEVICE_MAX;) {
        snprintf(key, sizeof(key), "k%u", l->count);
        add(l, key, "", "");
    }
    return 0;
}

static int refuse(const struct gpu_setup *setup, struct gpu_list *l)
{
    (void)setup;
    strcpy(l->note, "the moon is full");
    return -EAGAIN;
}

static const struct gpu_vendor all[] = {
    {.name = "see_two", .probe = see_two},
    {.name = "see_again", .probe = see_them_again},
    {.name = "see_processor", .probe = see_processor},
    {.name = "see_all", .probe = see_all},
    {.name = "refuse", .probe = refuse},
};

/* The list of both ends, from the environment: the process reads it, too. */
static const struct gpu_vendor *vendors[GPU_VENDOR_MAX];

static void list_vendors(void)
{
    const char *names = getenv("TEST_VENDORS");
    char copy[256], *save = NULL;
    size_t used = 0;
    snprintf(copy, sizeof(copy), "%s", names ? names : "");
    for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        for (size_t i = 0; i < ARRAY_COUNT(all); i++)
            if (!strcmp(all[i].name, name))
                vendors[used++] = &all[i];
    }
    vendors[used] = NULL;
}

/* -- what is found ------------------------------------------------------------------- */

static char notes[1024];

static void note(void *context, const char *text)
{
    ck_assert_ptr_eq(context, notes);
    strcat(strcat(notes, text), ";");
}

/* Returns the keys that are found when these vendors are asked, and their notes. */
static void finds(const char *names, const char *keys, const char *told)
{
    const struct gpu_find_options options = {
        .program = program, .timeout_ms = 60000, .vendors = vendors};
    char found[1024] = "";
    setenv("TEST_VENDORS", names, 1);
    list_vendors();
    notes[0] = '\0';
    int r = gpu_find(&options, note, notes, &list);
    ck_assert_int_eq(!r, list.count > 0 || names[0] == '\0');
    for (uint32_t i = 0; i < list.count && i < 8; i++)
        strcat(strcat(found, i > 0 ? " " : ""), list.device[i].key);
    ck_assert_str_eq(found, keys);
    ck_assert_str_eq(notes, told);
    ck_assert_str_eq(list.note, "");
}

#define PROCESSOR "there is nothing but the processor;"

START_TEST(finds_each_once)
{
    finds("", "", "");
    finds("see_two", "two one", "");
    ck_assert_str_eq(list.device[1].backend, "see_two");
    ck_assert_uint_eq(list.layered, 0);
    finds("see_two,see_again", "two five six one", "");
    ck_assert_str_eq(list.device[2].backend, "see_again");
    ck_assert_uint_eq(list.layered, 1);
    finds("see_again,see_two", "four five six three two", "");
    finds("see_processor", "cpu", PROCESSOR);
    finds("see_processor,see_two", "two one", "");
    finds("see_two,see_processor", "two one", "");
    finds("refuse", "", "the moon is full;");
    finds("refuse,see_two", "two one", "the moon is full;");
    finds("refuse,see_processor", "cpu", "the moon is full;" PROCESSOR);
    finds("see_two,see_all", "two one k0 k1 k2 k3 k4 k5",
          "2 devices are ignored: the limit is 1024.;");
}
END_TEST

int main(int argc, char **argv)
{
    list_vendors();
    if (argc == 3 && !strcmp(argv[1], "--driver"))
        _exit(driver_process(argv[2], vendors));
    if (!realpath(argv[0], program))
        return 1;
    return check_main("gpu-find", NULL, NULL, finds_each_once);
}
