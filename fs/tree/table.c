/* SPDX-License-Identifier: Apache-2.0 */
/* The directories and their files: what the tree is made of. See files.h. */
#include "files.h"

const struct directory tree_table[DIR_KINDS] = {
    [DIR_ROOT] = {files_root, "the mount point"},
    [DIR_CONFIG] = {files_config,
                    "the administrator's policy, one value per file, all with mode 0644"},
    [DIR_USERS] = {files_users, "a directory for each user; listed are those who hold a partition "
                                "now, or have a quota of their own"},
    [DIR_USER] = {files_user, "what one user holds, and may have"},
    [DIR_GROUPS] = {files_groups, "a directory for each group; listed are those with a quota"},
    [DIR_GROUP] = {files_group, "what the partitions that count for a group's quota hold, and may "
                                "have"},
    [DIR_DEVICE] = {files_device, "a device; its partitions are directories in it"},
    [DIR_PARTITIONS] = {files_partitions, "a link to every partition"},
    [DIR_PARTITION] = {files_partition, "a partition"},
};
