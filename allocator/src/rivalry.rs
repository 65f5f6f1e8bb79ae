//! Whether requests that want the same devices can all have enough of them: a maximum matching of requests and devices
//! (Hall's theorem says when there is none that serves all).

/// One request: how many devices it needs, and which it could take.
pub(crate) struct Rival {
    /// Fewest devices that satisfy it.
    pub(crate) needs: usize,
    /// Numbers of the devices, each below the number of devices there are.
    pub(crate) candidates: Vec<usize>,
}

/// True when every rival can have as many devices as it needs, each device going to one of them.
pub(crate) fn all_can_be_served(rivals: &[Rival], devices: usize) -> bool {
    let mut holders: Vec<Option<usize>> = vec![None; devices];
    rivals.iter().enumerate().all(|(number, rival)| {
        rival.needs <= rival.candidates.len() && (0..rival.needs).all(|_| serve(rivals, number, &mut holders))
    })
}

/// A rival that asks for a device: the one that lacks one, or the holder of a device that another asks for.
struct Asker {
    rival: usize,
    /// Who asks for which device of its.
    asked_by: Option<(usize, usize)>,
}

/// Gives a rival one device more, moving other rivals to other devices where that helps.
fn serve(rivals: &[Rival], rival: usize, holders: &mut [Option<usize>]) -> bool {
    let mut seen = vec![false; holders.len()];
    let mut askers = vec![Asker { rival, asked_by: None }];
    let mut next = 0;
    while let Some(asker) = askers.get(next) {
        for &device in &rivals[asker.rival].candidates {
            if std::mem::replace(&mut seen[device], true) {
                continue;
            }
            match holders[device] {
                None => {
                    hand_on(&askers, next, device, holders);
                    return true;
                }
                Some(rival) => askers.push(Asker { rival, asked_by: Some((next, device)) }),
            }
        }
        next += 1;
    }
    false
}

/// Gives a free device to an asker, the device that this one was asked for to who asked, and so on.
fn hand_on(askers: &[Asker], mut to: usize, mut device: usize, holders: &mut [Option<usize>]) {
    loop {
        holders[device] = Some(askers[to].rival);
        match askers[to].asked_by {
            Some((asker, given)) => (to, device) = (asker, given),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rival(needs: usize, candidates: &[usize]) -> Rival {
        Rival { needs, candidates: candidates.to_vec() }
    }

    #[test]
    fn rivals_make_room_for_each_other() {
        assert!(all_can_be_served(&[], 0));
        assert!(all_can_be_served(&[rival(1, &[0, 1]), rival(1, &[0])], 2), "the first moves");
        let chain = [rival(1, &[0, 1]), rival(1, &[1, 2]), rival(1, &[0]), rival(1, &[2])];
        assert!(!all_can_be_served(&chain, 4), "four want three");
        assert!(!all_can_be_served(&[rival(2, &[0, 1]), rival(1, &[1])], 2));
        assert!(!all_can_be_served(&[rival(2, &[0])], 1));
        let nine: Vec<Rival> = (0..9).map(|_| rival(1, &[0, 1, 2, 3, 4, 5, 6, 7])).collect();
        assert!(!all_can_be_served(&nine, 8));
        assert!(all_can_be_served(&nine[1..], 8));
    }

    /// Every way to serve the rivals, one after the other.
    fn by_trying(rivals: &[Rival], free: &mut Vec<bool>) -> bool {
        let Some((first, rest)) = rivals.split_first() else { return true };
        if first.needs == 0 {
            return by_trying(rest, free);
        }
        let smaller = |from: usize| Rival { needs: first.needs - 1, candidates: first.candidates[from..].to_vec() };
        (0..first.candidates.len()).any(|at| {
            let device = first.candidates[at];
            if !std::mem::take(&mut free[device]) {
                return false;
            }
            let others: Vec<Rival> = std::iter::once(smaller(at + 1))
                .chain(rest.iter().map(|rival| Rival { needs: rival.needs, candidates: rival.candidates.clone() }))
                .collect();
            let served = by_trying(&others, free);
            free[device] = true;
            served
        })
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_trying_all(
            wants in prop::collection::vec((0_usize..3, prop::collection::btree_set(0_usize..5, 0..5)), 0..5)
        ) {
            let rivals: Vec<Rival> = wants
                .into_iter()
                .map(|(needs, candidates)| Rival { needs, candidates: candidates.into_iter().collect() })
                .collect();
            prop_assert_eq!(all_can_be_served(&rivals, 5), by_trying(&rivals, &mut vec![true; 5]));
        }
    }
}
