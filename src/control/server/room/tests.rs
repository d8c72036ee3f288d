//! Who gets a seat, who gives one, and who is turned away.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const ROOM: Shares = Shares { seats: 4, following: 2, waiting: 2, owed: 100 };

fn who(uid: u32, pid: i32) -> Who {
    Who { uid, pid }
}

fn enter(room: &Room, uid: u32, pid: i32) -> Seat {
    room.enter(who(uid, pid)).unwrap()
}

/// Whether this seat was told to leave.
fn gone(seat: &Seat) -> bool {
    !seat.room.table().seats.contains_key(&seat.number)
}

fn told(seat: &Seat) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let soon = std::time::Duration::from_millis(1);
    runtime.block_on(async { tokio::time::timeout(soon, seat.leave()).await.is_ok() })
}

#[test]
fn whoever_kept_the_server_waiting_longest_leaves_for_the_next() {
    let room = Room::new(ROOM);
    let seats: Vec<Seat> = (1..5).map(|pid| enter(&room, 7, pid)).collect();
    seats[0].turn(Turn::Supervisor);
    seats[1].turn(Turn::Client);
    let _fifth = enter(&room, 7, 5);
    assert_eq!([0, 1, 2, 3].map(|n| gone(&seats[n])), [false, false, true, false], "the oldest of the rest");
    assert!(told(&seats[2]) && !told(&seats[0]));
    let _sixth = enter(&room, 7, 6);
    assert!(gone(&seats[3]));
}

#[test]
fn a_user_who_has_everything_gives_to_others_and_gets_nothing_back() {
    let room = Room::new(ROOM);
    let greedy: Vec<Seat> = (1..5).map(|pid| enter(&room, 7, pid)).collect();
    greedy.iter().for_each(|seat| seat.turn(Turn::Supervisor));
    let others: Vec<Seat> = [0, 8].map(|uid| enter(&room, uid, 9)).into();
    assert_eq!(greedy.iter().filter(|seat| gone(seat)).count(), 2);
    let again: Vec<Seat> = (10..20).map(|pid| enter(&room, 7, pid)).collect();
    assert!(others.iter().all(|seat| !gone(seat)), "of the others nobody has to go");
    let left = greedy.iter().chain(&again).filter(|seat| !gone(seat));
    assert_eq!(left.count(), 2);
    drop((greedy, others, again));
    assert!(room.table().seats.is_empty());
}

#[test]
fn a_process_that_has_everything_is_turned_away_and_gives_to_others() {
    let room = Room::new(ROOM);
    let greedy: Vec<Seat> = (0..4).map(|_| enter(&room, 7, 1)).collect();
    greedy.iter().for_each(|seat| seat.turn(Turn::Supervisor));
    assert!(room.enter(who(7, 1)).is_none());
    let other = enter(&room, 7, 2);
    assert_eq!(greedy.iter().filter(|seat| gone(seat)).count(), 1);
    assert!(room.enter(who(7, 1)).is_none() && !gone(&other));
    drop(greedy);
    let strange: Vec<Seat> = (0..10).map(|_| enter(&room, 7, 0)).collect();
    assert!(!gone(&other) && !gone(&strange[9]), "those who cannot be told apart take turns");
}

#[test]
fn followers_stay_unless_they_take_nothing_or_are_of_somebody_with_more() {
    let room = Room::new(ROOM);
    let [first, second, third] = [7, 7, 7].map(|uid| enter(&room, uid, 1));
    assert_eq!([first.follow(), second.follow(), third.follow()], [Ok(()), Ok(()), Err(NoSeat)]);
    assert!(!second.stalls() && third.stalls(), "a reader may rest, a client may not");
    assert_eq!(third.follow(), Err(NoSeat), "nobody gains by sending their own away");
    let other = enter(&room, 7, 2);
    assert_eq!((other.follow(), gone(&first), gone(&second)), (Ok(()), false, true));
    let user = enter(&room, 8, 1);
    assert_eq!((user.follow(), gone(&first) ^ gone(&other)), (Ok(()), true));
    assert_eq!(enter(&room, 8, 1).follow(), Err(NoSeat));
    assert!(!user.stalls());
    let honest = enter(&room, 8, 2);
    assert_eq!((honest.follow(), gone(&user)), (Ok(()), true));
    assert_eq!((enter(&room, 8, 3).follow(), gone(&honest)), (Err(NoSeat), false), "as much is not more");
}

#[test]
fn whoever_waits_longest_waits_again() {
    let room = Room::new(ROOM);
    let seats = [7, 7, 7].map(|uid| enter(&room, uid, 1));
    seats.iter().for_each(Seat::wait);
    assert_eq!([0, 1, 2].map(|n| gone(&seats[n])), [true, false, false]);
}

#[test]
fn answers_that_nobody_takes_are_bounded_together() {
    let room = Room::new(ROOM);
    let [first, second, other] = [1, 1, 2].map(|pid| enter(&room, 7, pid));
    first.owe(60);
    first.paid();
    second.owe(60);
    other.owe(30);
    assert!(first.may_ask() && other.may_ask());
    first.owe(60);
    assert!(!first.may_ask(), "it has enough to take first");
    assert!(other.may_ask());
    other.owe(30);
    assert_eq!([&first, &second, &other].map(gone), [true, false, false]);
    assert!(!second.may_ask() && other.may_ask());
    other.owe(1000);
    assert!(!gone(&other), "one answer alone is never too large");
}
