#!/usr/bin/env escript
%%! +S 1:1 +SDio 1
%% The TURN server of erlang-p1-stun with one UDP listener: a server under test.
%% usage: p1_stun.escript ADDRESS PORT USER PASSWORD REALM
main([Address, Port, User, Password, Realm]) ->
    {ok, IP} = inet:parse_address(Address),
    {ok, _} = application:ensure_all_started(stun),
    Name = list_to_binary(User),
    Secret = list_to_binary(Password),
    Known = fun(U, _) when U == Name -> Secret; (_, _) -> <<>> end,
    ok = stun_listener:add_listener(IP, list_to_integer(Port), udp,
        [{use_turn, true}, {auth_type, user}, {auth_realm, list_to_binary(Realm)}, {auth_fun, Known},
         {turn_ipv4_address, IP}, {turn_min_port, 20000}, {turn_max_port, 65000},
         {turn_max_allocations, infinity}, {turn_max_permissions, infinity},
         {turn_blacklist_peers, []}, {shaper, none}]),
    receive stop -> ok end.
