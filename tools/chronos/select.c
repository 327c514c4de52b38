/* SPDX-License-Identifier: Apache-2.0 */
/* Select partitions; see select.h. */
#include "select.h"

#include "device.h"
#include "failure.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int take_device(const struct chronos_mount *mount, const char *wanted, struct select *select)
{
    unsigned index;
    struct chronos_device device;
    if (!wanted)
        return 0;
    int r = chronos_parse_device(wanted, &index) ? 0 : -ENODEV;
    if (!r && mount)
        r = chronos_device_load(mount, index, 1u << CHRONOS_DEVICE_NAME, &device);
    if (chronos_is_gone(r))
        return failure_no_device(mount, wanted);
    if (r < 0)
        return failure_report(mount, "The device could not be read", r);
    snprintf(select->device, sizeof(select->device), "gpu%u", index);
    return 0;
}

int select_init(const struct chronos_mount *mount, const struct args *args,
                struct select *ret_select)
{
    const char *user = args_option(args, "user");
    *ret_select = (struct select){.name = args_option(args, "name")};
    if (args_option(args, "mine") && user)
        return args_usage_error(args->command, "--mine and --user exclude each other.");
    ret_select->by_uid = user_uid(user, &ret_select->uid);
    if (args_option(args, "mine")) {
        ret_select->by_uid = true;
        ret_select->uid = geteuid();
    } else if (!ret_select->by_uid) {
        ret_select->user = user_word(user, ret_select->word);
    }
    ret_select->mask = (ret_select->user ? 1u << CHRONOS_PARTITION_USER : 0) |
                       (ret_select->name ? 1u << CHRONOS_PARTITION_NAME : 0) |
                       (args_option(args, "device") ? 1u << CHRONOS_PARTITION_DEVICE : 0);
    int r = mount ? user_check(mount, user) : 0;
    return r ? r : take_device(mount, args_option(args, "device"), ret_select);
}

void select_label(struct select *select, const char *label)
{
    select->name = label;
    if (select->user || select->by_uid)
        return;
    select->by_uid = true;
    select->uid = geteuid();
}

bool select_any(const struct select *select)
{
    return select->by_uid || select->mask != 0;
}

/* Return whether the tree tells what the user of this name holds. */
static bool list_user(const struct chronos_mount *mount, const char *word, uint64_t **ret_ids,
                      size_t *ret_count)
{
    char path[sizeof("users//partitions") + USERNAME_MAX];
    if (word[0] == '.' || strchr(word, '/') || strlen(word) > USERNAME_MAX)
        return false;
    snprintf(path, sizeof(path), "users/%s/partitions", word);
    int r = chronos_read_ids(mount->root, path, ret_ids, ret_count);
    if (!chronos_is_gone(r))
        return !r;
    int users = chronos_open(mount->root, "users", O_PATH | O_DIRECTORY);
    fd_close(users);
    *ret_ids = NULL;
    *ret_count = 0;
    return users >= 0; /* then this user holds none */
}

int select_list(const struct chronos_mount *mount, const struct select *select, uint64_t **ret_ids,
                size_t *ret_count)
{
    if (select->by_uid && select->uid == geteuid())
        return chronos_list_mine(mount, ret_ids, ret_count);
    if (select->user && list_user(mount, select->user, ret_ids, ret_count))
        return 0;
    if (select->device[0] != '\0' && !select->by_uid)
        return chronos_list(mount->root, select->device, "p", ret_ids, ret_count);
    if (select->by_uid)
        return chronos_list_owned(mount->root, "partitions", "p", select->uid, ret_ids, ret_count);
    return chronos_list(mount->root, "partitions", "p", ret_ids, ret_count);
}

bool select_passes(const struct select *select, const struct chronos_partition *partition)
{
    const char(*value)[CHRONOS_VALUE_MAX] = partition->record.value;
    return (!select->user || strcmp(select->user, value[CHRONOS_PARTITION_USER]) == 0) &&
           (!select->name || strcmp(select->name, value[CHRONOS_PARTITION_NAME]) == 0) &&
           device_is_among(select->device, value[CHRONOS_PARTITION_DEVICE]);
}

bool select_line(const struct select *select, const struct chronos_line *line)
{
    const char *user = chronos_line_value(line, "user");
    char number[16];
    snprintf(number, sizeof(number), "%u", (unsigned)select->uid);
    if (select->by_uid && strcmp(user, number) != 0 &&
        (select->owner[0] == '\0' || strcmp(user, select->owner) != 0))
        return false;
    return (!select->user || strcmp(select->user, user) == 0) &&
           (!select->name || strcmp(select->name, chronos_line_value(line, "name")) == 0) &&
           device_is_among(select->device, chronos_line_value(line, "device"));
}
