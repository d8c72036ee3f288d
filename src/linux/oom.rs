//! How often the kernel has killed a process for want of memory (`oom_kill` of /proc/vmstat, Linux 4.13): of the whole
//! machine, those of single cgroups included.

use super::pseudo;

/// So many such kills since boot; `None` where the kernel does not tell.
pub fn kills() -> Option<u64> {
    count(&pseudo::text("/proc/vmstat").ok()?)
}

fn count(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_its_neighbours() {
        assert_eq!(count("oom_kill_disable 1\nnr_free 3\noom_kill 12\nx 1\n"), Some(12));
        assert_eq!(count("nr_free 3\n"), None);
    }
}
