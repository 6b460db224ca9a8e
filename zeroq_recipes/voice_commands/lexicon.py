"""The words of the sentence grammar: a tuple of terms per category; a term is one or a few words.

Terms contain lower-case letters, apostrophes and spaces only. No category has two words that sound alike, because no
model could tell them apart.
"""

from __future__ import annotations


def _terms(text: str) -> tuple[str, ...]:
    """Split comma-separated terms, in their order."""
    return tuple(" ".join(term.split()) for term in text.split(",") if term.strip())


LEXICON: dict[str, tuple[str, ...]] = {
    "first": _terms(
        """alice, andrew, angela, anthony, arthur, barbara, benjamin, beatrice, bernard, brandon, bridget, bruno,
        camila, carlos, caroline, charlotte, christopher, clara, claudia, connor, cynthia, daniel, david,
        deborah, dennis, diana, dominic, dorothy, edward, eleanor, elizabeth, emily, emma, ethan, eva, felix,
        fiona, frances, frederick, gabriel, george, gloria, grace, gregory, hannah, harold, harriet, helen,
        henry, hugo, ian, ingrid, irene, isabel, ivan, jacob, james, janet, jasmine, jason, jennifer, jessica,
        joanna, jonathan, joseph, joshua, julia, justin, karen, katherine, kevin, kimberly, laura, lawrence,
        leonard, lillian, linda, lucas, lucy, magnus, marcus, margaret, maria, martin, matilda, matthew,
        melissa, michael, miranda, monica, nathan, nicholas, nicole, nora, oliver, olivia, oscar, pamela,
        patricia, patrick, paul, peter, philip, rachel, raymond, rebecca, richard, robert, roger, rosa, russell,
        samantha, samuel, sandra, sebastian, simon, sophia, stephanie, steven, susan, sylvia, tamara, teresa,
        theodore, thomas, timothy, tobias, ursula, valerie, vanessa, veronica, victor, victoria, vincent,
        virginia, walter, wendy, william, yolanda, zachary, zoe"""
    ),
    "last": _terms(
        """adams, anderson, armstrong, bailey, barnes, bennett, bishop, bradley, brooks, burton, campbell,
        carpenter, chapman, coleman, collins, crawford, dawson, dixon, donovan, douglas, edwards, elliott,
        evans, ferguson, fisher, fleming, foster, garcia, gibson, gonzalez, graham, griffin, hamilton, harrison,
        henderson, hoffman, holland, hopkins, howard, hudson, hughes, jackson, jenkins, johnson, kennedy,
        lambert, larson, lopez, maxwell, mcdonald, miller, mitchell, morgan, murphy, nelson, newton, olson,
        owens, palmer, parker, patterson, perkins, peterson, phillips, porter, powell, ramirez, reynolds,
        roberts, robinson, rodriguez, sanders, schmidt, shepherd, simmons, spencer, stevens, sullivan, thompson,
        tucker, turner, wagner, wallace, watson, webster, williams, winters, wilson"""
    ),
    "room": _terms(
        """kitchen, bedroom, living room, dining room, bathroom, hallway, garage, basement, attic, office, nursery,
        laundry room, guest room, playroom, study, pantry, balcony, porch, garden, terrace, workshop, library,
        entrance, staircase, conservatory, cellar, studio, closet, corridor, patio, lounge"""
    ),
    "switch": _terms(
        """lights, lamp, ceiling fan, heater, television, radio, oven, dishwasher, washing machine, dryer, kettle,
        toaster, coffee machine, humidifier, vacuum cleaner, air conditioner, speaker, projector, computer,
        printer, sprinkler, fountain, chandelier, lantern, night light, floor lamp, desk lamp, freezer,
        refrigerator, microwave, blender, mixer, stove, router, camera, alarm, fireplace, charger, doorbell,
        monitor, thermostat, dehumidifier, air purifier, electric blanket, bread maker, slow cooker, rice
        cooker, hair dryer, towel rail, water pump"""
    ),
    "opening": _terms(
        """blinds, curtains, windows, shutters, front door, back door, garage door, gate, skylight, awning, drapes,
        cupboard, drawer, mailbox, cat flap, side door, cabinet, safe, locker, hatch"""
    ),
    "colour": _terms(
        """red, green, blue, yellow, orange, purple, pink, white, turquoise, violet, amber, crimson, golden,
        silver, magenta, lavender, scarlet, emerald, indigo, beige, ivory, copper, bronze, cherry"""
    ),
    "mood": _terms(
        """cosy, bright, relaxed, romantic, party, reading, cinema, morning, evening, holiday, sleeping, cooking,
        cleaning, focus, vacation, gaming, yoga, dinner, sunset, winter, summer, autumn, spring, quiet, energy
        saving"""
    ),
    "genre": _terms(
        """jazz, classical, country, rock, opera, folk, reggae, disco, blues, techno, gospel, flamenco, tango,
        soul, salsa, metal, ambient, swing, baroque, electronic, acoustic, hip hop, punk, samba"""
    ),
    "instrument": _terms(
        """piano, violin, guitar, trumpet, cello, clarinet, saxophone, drums, harp, organ, banjo, accordion,
        trombone, oboe, bassoon, ukulele, mandolin, flute"""
    ),
    "city": _terms(
        """amsterdam, athens, atlanta, barcelona, belfast, berlin, boston, brisbane, brussels, budapest, cairo,
        cardiff, chicago, copenhagen, dallas, denver, detroit, dublin, edinburgh, florence, geneva, glasgow,
        hamburg, helsinki, houston, istanbul, jakarta, kingston, lisbon, liverpool, london, madrid, manchester,
        melbourne, miami, montreal, moscow, nairobi, newcastle, orlando, oslo, ottawa, oxford, paris, phoenix,
        portland, prague, rome, seattle, shanghai, singapore, stockholm, sydney, tokyo, toronto, vancouver,
        venice, vienna, warsaw, zurich"""
    ),
    "food": _terms(
        """apples, apricots, bananas, beans, biscuits, bread, broccoli, butter, cabbage, carrots, cauliflower,
        celery, cheese, chicken, chocolate, cinnamon, coconut, cookies, cucumbers, eggs, garlic, ginger, grapes,
        honey, ice cream, ketchup, lemons, lentils, lettuce, mangoes, margarine, marmalade, melons, mushrooms,
        mustard, noodles, oatmeal, olives, olive oil, onions, pancakes, parsley, pasta, peaches, peanuts,
        pepper, pineapple, pizza, popcorn, potatoes, pumpkin, raisins, raspberries, rice, salad, salmon, salt,
        sausages, soup, spaghetti, spinach, strawberries, sugar, tofu, tomatoes, tuna, turkey, vanilla, vinegar,
        walnuts, yogurt, zucchini"""
    ),
    "drink": _terms(
        """coffee, orange juice, lemonade, milk, mineral water, green tea, hot chocolate, cider, espresso, herbal
        tea, apple juice, iced tea, ginger ale, cappuccino, tonic, smoothie"""
    ),
    "supply": _terms(
        """batteries, light bulbs, paper towels, soap, shampoo, toothpaste, detergent, envelopes, stamps, candles,
        matches, napkins, trash bags, sponges, scissors, screws, nails, paint, tissues, sunscreen, bandages,
        gloves, masks, dog food, bird seed, fertilizer, notebooks, pencils, markers, string, tape, glue, a
        hammer, a screwdriver, a ladder, an umbrella, a bucket, a broom"""
    ),
    "body": _terms(
        """head, neck, shoulder, elbow, wrist, thumb, finger, chest, back, stomach, hip, knee, ankle, foot, throat,
        ear, jaw, forehead, spine, rib, lung, heart, liver, kidney, bladder, muscle, tendon, skin, scalp, cheek,
        calf, thigh, tooth, tongue, eyelid, abdomen"""
    ),
    "side": _terms("left, right, upper, lower"),
    "symptom": _terms(
        """fever, cough, headache, nausea, dizziness, rash, swelling, numbness, fatigue, insomnia, vomiting,
        diarrhea, constipation, sneezing, wheezing, shivering, sweating, itching, bleeding, bruising, cramps,
        palpitations, chest pain, a sore throat, blurred vision, shortness of breath, heartburn, hoarseness,
        weakness, stiffness, tremor, confusion, anxiety, dehydration, inflammation, infection, migraine,
        toothache, earache"""
    ),
    "condition": _terms(
        """asthma, diabetes, arthritis, anemia, bronchitis, pneumonia, hypertension, eczema, influenza,
        tonsillitis, epilepsy, osteoporosis, appendicitis, hepatitis, sinusitis, psoriasis, sciatica, gout,
        glaucoma, hay fever"""
    ),
    "drug": _terms(
        """aspirin, ibuprofen, paracetamol, penicillin, amoxicillin, insulin, morphine, codeine, cortisone,
        metformin, atorvastatin, warfarin, heparin, diazepam, antihistamine, antibiotic, vitamin, magnesium,
        calcium, potassium, melatonin, adrenaline, lidocaine, prednisone, omeprazole, salbutamol, digoxin,
        ramipril, naproxen, iron"""
    ),
    "form": _terms(
        "tablets, capsules, drops, syrup, ointment, injection, inhaler, powder, cream, patches, spray, lozenges"
    ),
    "department": _terms(
        """cardiology, neurology, radiology, surgery, pediatrics, oncology, dermatology, orthopedics, emergency,
        pharmacy, maternity, psychiatry, reception, intensive care, physiotherapy, ophthalmology, urology,
        laboratory, dentistry, rehabilitation"""
    ),
    "test": _terms(
        """blood pressure, temperature, pulse, oxygen level, blood sugar, weight, height, cholesterol, breathing
        rate, hearing, eyesight, reflexes, balance, hemoglobin, urine sample, bone density"""
    ),
    "scan": _terms(
        "x ray, ultrasound, biopsy, vaccination, blood test, check up, operation, endoscopy, allergy test, consultation"
    ),
    "staff": _terms(
        """doctor, nurse, surgeon, dentist, pharmacist, therapist, midwife, specialist, assistant, paramedic,
        physician, optician, psychologist, receptionist, consultant, volunteer"""
    ),
    "person": _terms(
        """mother, father, sister, brother, daughter, grandmother, grandfather, uncle, cousin, neighbour, teacher,
        landlord, plumber, electrician, gardener, babysitter, lawyer, accountant, manager, husband, wife,
        nephew, roommate, colleague"""
    ),
    "event": _terms(
        """meeting, appointment, birthday, wedding, interview, concert, lecture, rehearsal, delivery, conference,
        barbecue, picnic, football match, dance class, haircut, anniversary, deadline, flight, exam, breakfast,
        lunch, graduation, exhibition, funeral, workout, parade, ceremony, reunion, festival, auction"""
    ),
    "chore": _terms(
        """water the plants, feed the cat, walk the dog, take out the rubbish, pay the rent, wash the car, charge
        the phone, call the bank, mow the lawn, fold the laundry, sweep the floor, iron the shirts, return the
        books, renew the passport, pick up the parcel, cancel the subscription, update the software, clean the
        aquarium, book a hotel, sharpen the knives, polish the shoes, change the bed sheets, defrost the
        chicken, repair the bicycle, order new glasses, buy a present, empty the dustbin, check the mail, vacuum
        the carpet, lock the shed, prune the roses, finish the report, sign the contract"""
    ),
    "weather": _terms(
        """rain, snow, thunder, fog, sunshine, wind, hail, frost, drizzle, a storm, clouds, a rainbow, lightning,
        ice, humidity"""
    ),
    "animal": _terms(
        """dog, cat, rabbit, hamster, parrot, goldfish, tortoise, pony, canary, kitten, puppy, guinea pig, lizard,
        chickens, donkey, goat"""
    ),
    "topic": _terms(
        """astronomy, biology, chemistry, economics, football, geography, history, literature, medicine, music,
        nature, philosophy, physics, politics, science, sports, technology, theatre, travel, volcanoes,
        dinosaurs, elephants, butterflies, dolphins, penguins, castles, pyramids, submarines, satellites,
        robots, trains, chess, photography, pottery, knitting, poetry, cooking, swimming, sailing, hiking,
        mountains, rivers, deserts, oceans, planets"""
    ),
    "unit": _terms("seconds, minutes, hours, days, weeks"),
    "measure": _terms("grams, litres, bottles, packets, boxes, cans, bags, cups, kilograms, slices, spoons, jars"),
    "dose": _terms("milligrams, millilitres, units, drops, tablets"),
    "weekday": _terms("monday, tuesday, wednesday, thursday, friday, saturday, sunday"),
    "month": _terms("january, february, march, april, may, june, july, august, september, october, november, december"),
    "daytime": _terms("morning, afternoon, evening, noon, midnight, sunrise, sunset, bedtime, dawn"),
    "street": _terms(
        """station, market, castle, river, church, bridge, park, school, mill, forest, harbour, victoria, maple,
        chestnut, meadow, orchard, windsor, cambridge, lincoln, franklin, highland, valley, sycamore, willow"""
    ),
    "road": _terms("street, avenue, road, lane, square, boulevard, drive, terrace"),
    "place": _terms(
        """airport, bakery, supermarket, museum, hospital, petrol station, bookshop, restaurant, post office,
        swimming pool, stadium, cathedral, university, town hall, playground, cinema, gymnasium, hotel,
        pharmacy, train station, bus stop, police station, butcher, florist, zoo"""
    ),
    "transport": _terms("bus, train, taxi, bicycle, ferry, tram, underground, motorcycle, car, aeroplane"),
    "language": _terms(
        """spanish, french, german, italian, portuguese, russian, japanese, arabic, chinese, turkish, swedish,
        polish, greek, dutch, korean, hindi, danish, norwegian, finnish, hungarian, latin, swahili"""
    ),
}
